"""The picture of a terminal shows what the commands print."""

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from demo import recording


def test_what_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command, as a reader would type it, and the demo model's answer; phiserve is the one beside this
    Python.
    """
    ran: list[list[str]] = []

    def run(words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        ran.append(words)
        return subprocess.CompletedProcess(words, 0, stdout=f"answer-{len(ran)}\n")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(recording, "FOLDER", tmp_path)
    recording.main()
    drawn = (tmp_path / "ask.svg").read_text(encoding="utf-8")
    assert [Path(words[0]).name for words in ran] == ["phiserve"] * len(recording.COMMANDS)
    assert [["phiserve", *words[1:-2]] for words in ran] == [
        shlex.split(command) for command in recording.COMMANDS
    ]
    assert all(words[-2:] == ["--model", "phiserve-demo"] for words in ran)
    assert all(f"answer-{number}" in drawn for number in range(1, len(ran) + 1))
