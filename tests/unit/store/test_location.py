"""Where state is kept, and what is no such place."""

from pathlib import Path

import pytest

from phiserve.errors import StartupError
from phiserve.store.location import default_file, locate


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By URL: absolute, from the working directory, from the user's folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    for url, file in (
        ("sqlite:////var/lib/state.db", "/var/lib/state.db"),
        ("sqlite:///state.db", f"{tmp_path}/state.db"),
        ("sqlite:///~/state.db", "/home/someone/state.db"),
    ):
        location = locate(url)
        assert location is not None
        assert str(location) == str(location.file) == file


def test_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder of state that the user's system names, or in the usual one."""
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_file() == Path("/state/phiserve/state.db")
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")  # to be ignored, the specification says
    assert default_file() == Path("/home/someone/.local/state/phiserve/state.db")
    location = locate(None)
    assert location is not None
    assert location.file == default_file()


def test_off() -> None:
    """Nowhere."""
    assert locate("off") is None


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql(scheme: str) -> None:
    """By its usual names; its text hides the password, and options that may hold one."""
    location = locate(f"{scheme}://me:open%40@db.example:5433/state?sslmode=require&password=open%40")
    assert location is not None
    assert location.file is None
    assert str(location) == "postgresql+psycopg://me:***@db.example:5433/state"
    assert "open" not in repr(location)
    assert location.without_password('no "open@"\n here') == 'no "***" here'


@pytest.mark.parametrize(
    "url",
    [
        "",
        "state.db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite://host/state.db",
        "sqlite:///state.db?mode=ro",
        "mysql://me:secret@host/state",
        "postgresql+asyncpg://me:secret@host/state",
        "postgresql://me:se@cret@host/state",
        "postgresql://me:secret@host:port/state",
    ],
)
def test_other_urls(url: str) -> None:
    """Refused with what is expected, and without what was given."""
    with pytest.raises(StartupError, match=r"Setting state_url: sqlite:///.* or off is expected") as caught:
        locate(url)
    assert "cret" not in str(caught.value)
