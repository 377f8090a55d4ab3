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

_TOLD_LOGGERS = ("vllm.v1.engine.core", "vllm.logging_utils.dump_input")
"""They log a failure with its traceback, and all that the engine held."""


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
            text=str(error).strip().partition("\n")[0],
            where=f"{Path(frame.filename).name}:{frame.lineno}",
            traceback="".join(traceback.format_exception(error)),
            is_memory=any(map(_is_memory, _with_causes(error))),
        )


class ReportingTarget:
    """What the engine's process runs: vLLM's own function, and a report should it fail."""

    def __init__(self, reports: "Connection[EngineProcessFailure, None]") -> None:
        self._reports = reports

    def __call__(self, *args: object, **kwargs: object) -> None:
        """Run the engine to its end. Exits with status 1 where it fails."""
        for name in _TOLD_LOGGERS:
            logging.getLogger(name).addFilter(_is_news)
        try:
            _RUN(*args, **kwargs)
        except Exception as error:
            with suppress(OSError):  # the server has gone
                self._reports.send(EngineProcessFailure.of(error))
            if _is_debugged():
                raise
            sys.exit(1)


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


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line of the log says what the server will not say itself."""
    return record.levelno < logging.ERROR or _is_debugged()


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
