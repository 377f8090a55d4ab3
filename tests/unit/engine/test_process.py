"""How an engine's end is told, and that its sockets leave no files."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from phiserve.engine.process import EngineProcess, sentence_end


@pytest.mark.parametrize(
    ("exit_code", "expected"),
    [
        (-9, "was ended by SIGKILL"),
        (-99, "was ended by signal 99"),
        (1, "ended with status 1"),
        (None, "no longer answers"),
    ],
)
def test_how_it_ended(exit_code: int | None, expected: str) -> None:
    """As multiprocessing tells it."""
    assert sentence_end(exit_code) == expected


def test_socket_files(tmp_path: Path) -> None:
    """Of sockets in the file system; a second removal finds nothing to do."""
    file = tmp_path / "socket"
    file.touch()
    endpoints = iter([f"ipc://{file}", "tcp://127.0.0.1:5"])
    socket = SimpleNamespace(getsockopt_string=lambda option: next(endpoints))
    resources = SimpleNamespace(engine_manager=None, output_socket=socket)
    llm: Any = SimpleNamespace(engine_core=SimpleNamespace(input_socket=socket, resources=resources))
    process = EngineProcess(llm)
    process.remove_socket_files()
    process.remove_socket_files()
    assert not file.exists()
    assert process.how_it_ended() == "no longer answers"
