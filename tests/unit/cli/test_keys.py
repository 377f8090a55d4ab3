"""`phiserve keys` makes, lists and revokes keys."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from phiserve.access.keyring import Keyring
from phiserve.cli.main import app


def run(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments, "--keys-file", str(file)])


def test_add_list_revoke(tmp_path: Path) -> None:
    """The secret alone goes to standard output, once; a revoked key stays in the list and lets nobody in."""
    file = tmp_path / "keys.yaml"
    limits = ("--requests-per-minute", "60", "--tokens-per-minute", "1000", "--images-per-minute", "9")
    more = ("--concurrent-requests", "4", "--max-detail", "low", "--expires", "2999-01-31")
    added = run(file, "add", "alice", *limits, *more)
    secret = added.stdout.strip()
    key = Keyring(None, file).find(secret.encode())
    assert key is not None
    assert key.id in added.stderr
    assert secret not in added.stderr
    (row,) = run(file, "list").stdout.splitlines()[1:]
    assert row.split(maxsplit=5)[:3] == [key.id, "alice", "valid"]
    assert row.rstrip().endswith(
        "2999-01-31  60 requests/min, 1000 tokens/min, 9 images/min, 4 at once, detail low"
    )
    assert run(file, "revoke", key.id[:8]).exit_code == 0
    assert Keyring(None, file).find(secret.encode()) is None
    assert "revoked" in run(file, "list").stdout
    assert secret not in file.read_text()


def test_states(tmp_path: Path) -> None:
    """An expired key is called that."""
    file = tmp_path / "keys.yaml"
    run(file, "add", "alice", "--expires", "2020-01-31")
    assert "expired" in run(file, "list").stdout


def test_limit(tmp_path: Path) -> None:
    """The limits of an owner are listed below the keys, with how many of these are valid."""
    file = tmp_path / "keys.yaml"
    for arguments in (("alice",), ("alice",), ("alice", "--expires", "2020-01-31")):
        run(file, "add", *arguments)
    limited = run(file, "limit", "alice", "--requests-per-minute", "60", "--max-detail", "low")
    assert (limited.exit_code, limited.stdout) == (0, "")
    assert limited.stderr == "Limits of alice: 60 requests/min, detail low\n"
    lines = [line.rstrip() for line in run(file, "list").stdout.splitlines()]
    assert lines[4:] == [
        "",
        "owner  valid keys  limits of all keys together",
        "alice  2           60 requests/min, detail low",
    ]


def test_file_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own variable names it."""
    monkeypatch.setenv("PHISERVE_KEYS_FILE", str(tmp_path / "keys.yaml"))
    assert CliRunner().invoke(app, ["keys", "add", "alice"]).exit_code == 0
    assert "alice" in CliRunner().invoke(app, ["keys", "list"]).stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "a", "--expires", "soon"), "--expires takes a date"),
        (("add", "a", "--max-detail", "full"), "--max-detail takes low, auto or high"),
        (("list",), "does not exist"),
        (("limit", "a", "--tokens-per-minute", "5"), "does not exist"),
        (("revoke", "abcdef"), "No key has the id"),
    ],
)
def test_mistakes(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    """One sentence, status 1, and nothing is written."""
    file = tmp_path / "keys.yaml"
    if arguments[0] == "revoke":
        file.write_text("keys: []\n")
    result = run(file, *arguments)
    assert (result.exit_code, told in " ".join(result.stderr.split())) == (1, True)
    assert not file.exists() or file.read_text() == "keys: []\n"
