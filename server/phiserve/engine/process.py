"""The processes behind an AsyncLLM: whether they work, how they ended, and what stays of them."""

import logging
import signal
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeAlias

import zmq
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError

from phiserve.engine.metrics import StepCount
from phiserve.plugin.core_process import EngineProcessFailure

_LOG = logging.getLogger(__name__)

Failures: TypeAlias = "Connection[None, EngineProcessFailure]"
"""Where an engine's process reports why it fails."""

END_TIMEOUT_S = 5.0
"""Seconds within which a killed process has ended."""


class EngineProcess:
    """The engine's processes, and the files of the sockets to them.

    `failures` is where they report why they fail, `steps` counts what they do; None where nobody tells.
    """

    def __init__(
        self,
        llm: AsyncLLM,
        failures: "Failures | None" = None,
        steps: StepCount | None = None,
    ) -> None:
        client = llm.engine_core
        manager = client.resources.engine_manager
        self._processes: list[BaseProcess] = [] if manager is None else list(manager.processes)
        sockets = client.input_socket, client.resources.output_socket
        endpoints = [socket.getsockopt_string(zmq.LAST_ENDPOINT) for socket in sockets]
        self._failures = failures
        self._steps = steps
        self._files = [Path(end.removeprefix("ipc://")) for end in endpoints if end.startswith("ipc://")]

    def how_it_ended(self) -> str:
        """The end of a sentence: a signal or a status, as far as known.

        What the process itself reports is logged, once, and not returned: it may hold a request's content.
        """
        if self._failures is not None and (failure := reported(self._failures)) is not None:
            _LOG.error("The engine's process failed: %s", failure.line)
        codes = (process.exitcode for process in self._processes)
        return sentence_end(next(filter(None, codes), None))

    @property
    def steps(self) -> int | None:
        """A number that grows with every step, or None where the engine tells of none."""
        return None if self._steps is None else self._steps.steps

    def kill(self) -> None:
        """End the processes as SIGKILL does, whatever they are at."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join(END_TIMEOUT_S)

    def release(self) -> None:
        """Remove what ended processes leave: zombies, and the files of their sockets."""
        for process in self._processes:  # those that vLLM has killed it does not wait for
            process.join(END_TIMEOUT_S)
        if self._failures is not None:
            self._failures.close()
        for file in self._files:
            file.unlink(missing_ok=True)


def reported(failures: Failures) -> EngineProcessFailure | None:
    """Why an engine's process failed, if it has said so since the last call."""
    try:
        return failures.recv() if not failures.closed and failures.poll() else None
    except (EOFError, OSError):  # it ended without a word
        return None


def keep_told_deaths_out_of_the_log() -> None:
    """Let vLLM log no traceback for the end of an engine's process, which the supervisor tells in a line."""
    logging.getLogger(AsyncLLM.__module__).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], EngineDeadError))


def sentence_end(exit_code: int | None) -> str:
    """How a process ended, from its exit code as multiprocessing tells it: below zero, a signal's number."""
    if exit_code is None:
        return "no longer answers"
    if exit_code >= 0:
        return f"ended with status {exit_code}"
    try:
        return f"was ended by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was ended by signal {-exit_code}"
