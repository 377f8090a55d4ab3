"""How an engine's end is told, and that its sockets leave no files."""

import logging
import os
import signal
import time
from multiprocessing import Pipe, get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from vllm.v1.engine import async_llm
from vllm.v1.engine.exceptions import EngineDeadError

from phiserve.engine.metrics import StepCount
from phiserve.engine.process import EngineProcess, keep_told_deaths_out_of_the_log, sentence_end
from phiserve.plugin.core_process import EngineProcessFailure


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


def llm_with(*endpoints: str) -> Any:
    """An AsyncLLM without processes, whose sockets have these endpoints."""
    ends = iter(endpoints)
    socket = SimpleNamespace(getsockopt_string=lambda option: next(ends))
    resources = SimpleNamespace(engine_manager=None, output_socket=socket)
    return SimpleNamespace(engine_core=SimpleNamespace(input_socket=socket, resources=resources))


def test_socket_files(tmp_path: Path) -> None:
    """Of sockets in the file system; a second removal finds nothing to do."""
    file = tmp_path / "socket"
    file.touch()
    process = EngineProcess(llm_with(f"ipc://{file}", "tcp://127.0.0.1:5"))
    process.release()
    process.release()
    assert not file.exists()
    assert (process.how_it_ended(), process.steps) == ("no longer answers", None)


def test_no_process_stays_a_zombie() -> None:
    """One that vLLM has killed and waits for no more is gone from the system's table."""
    running = get_context("spawn").Process(target=time.sleep, args=(600,))
    running.start()
    llm = llm_with("tcp://a", "tcp://b")
    llm.engine_core.resources.engine_manager = SimpleNamespace(processes=[running])
    process = EngineProcess(llm)
    assert running.pid is not None
    os.kill(running.pid, signal.SIGKILL)
    process.release()
    assert not psutil.pid_exists(running.pid)


def test_a_reported_failure_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """In one line, which clients do not get: it may hold what another has sent."""
    receiving, sending = Pipe(duplex=False)
    with receiving, sending:
        process = EngineProcess(llm_with("tcp://a", "tcp://b"), receiving, StepCount())
        sending.send(EngineProcessFailure("ValueError", "secret", "model.py:5", "Traceback …", False))
        assert [process.how_it_ended() for _ in range(2)] == ["no longer answers"] * 2
        assert [record.getMessage() for record in caplog.records] == [
            "The engine's process failed: ValueError: secret (model.py:5)"
        ]
        process.release()
        assert process.how_it_ended() == "no longer answers"


def test_an_end_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    """As by SIGKILL."""
    receiving, sending = Pipe(duplex=False)
    with receiving:
        sending.close()
        assert EngineProcess(llm_with("a", "b"), receiving).how_it_ended() == "no longer answers"
    assert caplog.records == []


def test_vllm_does_not_tell_it_again() -> None:
    """A dead engine is no news; any other failure of its output handler is."""
    keep_told_deaths_out_of_the_log()
    logger = logging.getLogger(async_llm.__name__)
    passed = []
    for error in (EngineDeadError(), KeyError("odd")):
        record = logger.makeRecord(
            logger.name, logging.ERROR, "", 0, "failed", (), (type(error), error, None)
        )
        if logger.filter(record):
            passed.append(error)
    assert [type(error) for error in passed] == [KeyError]
