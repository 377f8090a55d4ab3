"""The embedded checkpoint lives in the user's cache."""

from pathlib import Path

import pytest

from phiserve.checkpoint.embedded import embedded_checkpoint
from phiserve.errors import StartupError


def test_embedded_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call writes it into the cache, the second finds it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    said: list[str] = []
    assert embedded_checkpoint(said.append) == embedded_checkpoint(said.append)
    assert len(said) == 1
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(StartupError, match="cannot be written"):
        embedded_checkpoint(said.append)
