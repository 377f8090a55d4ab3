"""An engine's process that fails tells the server why, once, and leaves no traceback on the terminal."""

import errno
import logging
import subprocess
import sys
from multiprocessing import Pipe

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


def test_a_failing_engine_reports_and_exits(monkeypatch: pytest.MonkeyPatch) -> None:
    """With status 1, and without vLLM's own lines about it, but for those who debug."""
    logger = logging.getLogger(core_process._TOLD_LOGGERS[0])
    passed: list[bool] = []

    def fail(*arguments: object, **options: object) -> None:
        record = logger.makeRecord(logger.name, logging.ERROR, "", 0, "failed", (), None)
        passed.append(bool(logger.filter(record)))
        raise ValueError(f"{arguments} {options}")

    monkeypatch.setattr(core_process, "_RUN", fail)
    receiving, sending = Pipe(duplex=False)
    with receiving, sending:
        with pytest.raises(SystemExit, match="1"):
            ReportingTarget(sending)(1, two=2)
        assert receiving.recv().text == "(1,) {'two': 2}"
        monkeypatch.setattr(core_process, "_is_debugged", lambda: True)
        with pytest.raises(ValueError, match="two"):
            ReportingTarget(sending)(1, two=2)
    assert passed == [False, True]
    for name in core_process._TOLD_LOGGERS:
        logging.getLogger(name).removeFilter(core_process._is_news)


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
