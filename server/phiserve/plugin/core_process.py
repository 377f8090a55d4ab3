"""How vLLM's engine process begins, and how the server learns why it failed.

vLLM tells it in tracebacks on the terminal. Here the process sends its failure to the server instead, which
says it once, in a sentence. With `VLLM_LOGGING_LEVEL=DEBUG` the tracebacks are shown as well.
"""

import errno
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from vllm.v1.engine.core import EngineCoreProc

_RUN = EngineCoreProc.run_engine_core
"""vLLM's own. Held here, because `failures_reported` puts another in its place."""

_TORCH_OUT_OF_MEMORY = "DefaultCPUAllocator: can't allocate memory"
"""What torch says where the CPU's memory is at its end; its class is RuntimeError, as of all else."""

_FATAL = "run_engine_core"
"""The function that logs what ends the process; others of its module log what ends one request."""

_DUMP_LOGGER = "vllm.logging_utils.dump_input"
"""It logs all that the engine held when it failed."""

_MOST_CHARACTERS = 16_000
"""A report fits into a pipe, so that sending it waits for nobody."""


@dataclass(frozen=True, slots=True)
class EngineProcessFailure:
    """An exception that ended an engine's process.

    `error`: its class; `text`: the first line of what it says; `where`: file and line. `is_memory`: no memory
    was left for it.
    """

    error: str
    text: str
    where: str
    traceback: str
    is_memory: bool

    @property
    def line(self) -> str:
        """All but the traceback, on one line."""
        said = f"{self.error}: {self.text}" if self.text else self.error
        return f"{said} ({self.where})"

    @classmethod
    def of(cls, error: BaseException) -> "EngineProcessFailure":
        """What is to be told of an exception that has been raised."""
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return cls(
            error=type(error).__name__,
            text=str(error).strip().partition("\n")[0][:_MOST_CHARACTERS],
            where=f"{Path(frame.filename).name}:{frame.lineno}",
            traceback="".join(traceback.format_exception(error))[-_MOST_CHARACTERS:],
            is_memory=any(map(_is_memory, _with_causes(error))),
        )


class ReportingTarget:
    """What the engine's process runs: vLLM's own function, and a report should it fail.

    The report is sent when vLLM would log the failure, which is before it tells the server that the engine is
    dead: from then on the server may end this process.
    """

    def __init__(self, reports: "Connection[EngineProcessFailure, None]") -> None:
        self._reports = reports
        self._has_reported = False

    def __call__(self, *args: object, **kwargs: object) -> None:
        """Run the engine to its end. Exits with status 1 where it fails."""
        for name in (EngineCoreProc.__module__, _DUMP_LOGGER):
            logging.getLogger(name).addFilter(self.filter)
        try:
            _RUN(*args, **kwargs)
        except Exception as error:
            self._report(error)
            if _is_debugged():
                raise
            sys.exit(1)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line of vLLM's log says what the server will not say itself."""
        is_fatal = record.funcName == _FATAL and record.levelno >= logging.ERROR
        if is_fatal and record.exc_info and record.exc_info[1] is not None:
            self._report(record.exc_info[1])
        return _is_debugged() or not (is_fatal or record.name == _DUMP_LOGGER)

    def _report(self, error: BaseException) -> None:
        if self._has_reported:
            return
        self._has_reported = True
        with suppress(OSError):  # the server has gone
            self._reports.send(EngineProcessFailure.of(error))


@contextmanager
def failures_reported() -> "Iterator[Connection[None, EngineProcessFailure]]":
    """Engine processes started within this context report their failures here.

    The end is the caller's to close. It reads EOF once all of these processes have ended.
    """
    receiving, sending = Pipe(duplex=False)
    try:
        EngineCoreProc.run_engine_core = ReportingTarget(sending)
        yield receiving
    except BaseException:
        receiving.close()
        raise
    finally:
        EngineCoreProc.run_engine_core = staticmethod(_RUN)
        sending.close()


def _is_debugged() -> bool:
    return logging.getLogger("vllm").isEnabledFor(logging.DEBUG)


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or _TORCH_OUT_OF_MEMORY in str(error)
