"""The processes behind an AsyncLLM: how they ended, and what stays of them."""

import signal
from multiprocessing.process import BaseProcess
from pathlib import Path

import zmq
from vllm.v1.engine.async_llm import AsyncLLM

END_TIMEOUT_S = 5.0
"""Seconds within which a killed process has ended."""


class EngineProcess:
    """The engine's processes, and the files of the sockets to them."""

    def __init__(self, llm: AsyncLLM) -> None:
        client = llm.engine_core
        manager = client.resources.engine_manager
        self._processes: list[BaseProcess] = [] if manager is None else list(manager.processes)
        sockets = client.input_socket, client.resources.output_socket
        endpoints = [socket.getsockopt_string(zmq.LAST_ENDPOINT) for socket in sockets]
        self._files = [Path(end.removeprefix("ipc://")) for end in endpoints if end.startswith("ipc://")]

    def how_it_ended(self) -> str:
        """The end of a sentence: a signal or a status, as far as known."""
        codes = (process.exitcode for process in self._processes)
        return sentence_end(next(filter(None, codes), None))

    def kill(self) -> None:
        """End the processes as SIGKILL does, whatever they are at."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join(END_TIMEOUT_S)

    def remove_socket_files(self) -> None:
        """Remove the sockets' files, which ZeroMQ leaves behind."""
        for file in self._files:
            file.unlink(missing_ok=True)


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
