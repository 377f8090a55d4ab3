"""An engine's process that fails tells the server why, once, and leaves no traceback on the terminal."""

import errno
import logging
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest
import torch
from vllm.v1.engine.core import EngineCoreProc

from phiserve.plugin import core_process
from phiserve.plugin.core_process import EngineProcessFailure, ReportingTarget, failures_reported


def failure_of(error: BaseException) -> EngineProcessFailure:
    """What is told of an exception that is raised here."""
    with pytest.raises(type(error)) as caught:
        raise error
    return EngineProcessFailure.of(caught.value)


def test_what_is_told() -> None:
    """Class, first line and origin in a line; the traceback apart."""
    failure = failure_of(ValueError("no block fits\nSee above."))
    assert failure.line.startswith("ValueError: no block fits (test_core_process.py:")
    assert (failure.error, failure.text) == ("ValueError", "no block fits")
    assert "Traceback" in failure.traceback
    assert failure_of(KeyboardInterrupt()).line.startswith("KeyboardInterrupt (")


def allocate() -> None:
    torch.empty(2**60, dtype=torch.uint8)


def test_what_is_memory() -> None:
    """As Python, the operating system, and torch on CPU and GPU say it; also as the cause of another."""
    for error in (MemoryError(), OSError(errno.ENOMEM, "no memory"), torch.OutOfMemoryError("no memory")):
        assert failure_of(error).is_memory
    with pytest.raises(RuntimeError) as caught:
        allocate()
    assert EngineProcessFailure.of(caught.value).is_memory
    later = RuntimeError("the executor failed")
    later.__cause__ = caught.value
    assert failure_of(later).is_memory
    assert not failure_of(OSError(errno.EIO, "broken")).is_memory


Connections = tuple["Connection[None, EngineProcessFailure]", ReportingTarget]


@pytest.fixture
def target() -> Iterator[Connections]:
    """A target, and what it reports to; its filters are gone afterwards."""
    receiving, sending = Pipe(duplex=False)
    target = ReportingTarget(sending)
    with receiving, sending:
        yield receiving, target
    for name in (EngineCoreProc.__module__, core_process._DUMP_LOGGER):
        logging.getLogger(name).removeFilter(target.filter)


def log(logger_name: str, function: str) -> bool:
    """Log the exception that is being handled, as vLLM's functions do; whether a line would be written."""
    logger = logging.getLogger(logger_name)
    error = sys.exc_info()
    record = logger.makeRecord(logger_name, logging.ERROR, "core.py", 0, "failed", (), error, function)
    return bool(logger.filter(record))


def test_a_failing_engine_reports_and_exits(target: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before vLLM tells the server that it is dead; with status 1, and without vLLM's own lines about it."""
    receiving, engine = target
    passed: list[bool] = []
    was_reported: list[bool] = []

    def fail(*arguments: object, **options: object) -> None:
        try:
            int(f"{arguments} {options}")
        except ValueError:
            passed.append(log(core_process._DUMP_LOGGER, "_dump_engine_exception"))
            passed.append(log(EngineCoreProc.__module__, "run_engine_core"))
            was_reported.append(receiving.poll())
            raise

    monkeypatch.setattr(core_process, "_RUN", fail)
    with pytest.raises(SystemExit, match="1"):
        engine(1, two=2)
    assert "(1,) {'two': 2}" in receiving.recv().text
    assert not receiving.poll()
    monkeypatch.setattr(core_process, "_is_debugged", lambda: True)
    with pytest.raises(ValueError, match="two"):
        engine(1, two=2)
    assert passed == [False, False, True, True]
    assert was_reported[0]


def test_what_fails_one_request_is_logged_as_ever(
    target: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends no process, and is no report."""
    receiving, engine = target

    def run() -> None:
        try:
            int("x")
        except ValueError:
            assert log(EngineCoreProc.__module__, "_handle_request_preproc_error")

    monkeypatch.setattr(core_process, "_RUN", run)
    engine()
    assert not receiving.poll()


def test_a_report_is_bounded() -> None:
    """Or a process that fails would wait for somebody to read why."""
    failure = failure_of(ValueError("x" * 10_000_000))
    assert len(failure.text) + len(failure.traceback) <= 2 * core_process._MOST_CHARACTERS


def test_vllms_own_function_is_back_afterwards() -> None:
    """Also when the start fails, and then nothing listens any more."""
    own = EngineCoreProc.run_engine_core
    with failures_reported() as failures:
        assert isinstance(EngineCoreProc.run_engine_core, ReportingTarget)
    assert not failures.closed
    failures.close()
    with pytest.raises(KeyError), failures_reported() as failures:
        raise KeyError
    assert failures.closed
    assert EngineCoreProc.run_engine_core is own


REAL_PROCESS = """
import multiprocessing
from vllm.v1.engine.core import EngineCoreProc
from phiserve.engine.process import reported
from phiserve.plugin.core_process import failures_reported

if __name__ == "__main__":
    with failures_reported() as failures:
        process = multiprocessing.get_context("spawn").Process(target=EngineCoreProc.run_engine_core)
        process.start()
    process.join()
    print(process.exitcode, reported(failures).line)
"""


def test_a_real_process() -> None:
    """vLLM's function, called without what it needs, in a process of its own: not a word on the terminal."""
    environment = {"VLLM_LOGGING_LEVEL": "ERROR", "PYTHONPATH": ":".join(sys.path)}
    ran = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-W", "ignore", "-c", REAL_PROCESS],
        capture_output=True,
        text=True,
        env=environment,
        timeout=500,
        check=True,
    )
    assert ran.stdout.startswith("1 KeyError: 'vllm_config' (core.py:")
    assert "Traceback" not in ran.stderr
