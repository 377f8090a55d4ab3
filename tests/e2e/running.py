"""Real servers for tests: `phiserve serve` as a process, and the same parts inside the test's own process."""

import asyncio
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from phiserve.api.app import create_app
from phiserve.api.services import Services
from phiserve.checkpoint.embedded import BLANK_NAME
from phiserve.checkpoint.opened import open_checkpoint
from phiserve.config import Settings
from phiserve.engine.adapter import Engine
from phiserve.engine.environment import prepare_environment
from phiserve.engine.supervisor import SupervisedEngine

START_TIMEOUT_S = 240
_Result = TypeVar("_Result")


class ServerProcess:
    """`phiserve serve` in a process of its own. Serves the blank model unless told otherwise; None is what
    users get. What it stores is in a folder of its own, unless that is told.
    """

    def __init__(self, *arguments: str, model: str | None = BLANK_NAME, **environment: str) -> None:
        command = [str(Path(sys.executable).parent / "phiserve"), "serve", "--port", "0", *arguments]
        self._state = tempfile.TemporaryDirectory(prefix="phiserve-state-")
        own = {"XDG_STATE_HOME": self._state.name} | ({"PHISERVE_MODEL": model} if model else {})
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | own | environment,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self.url = ""
        self._urls: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_until_ready(self) -> None:
        """Wait for the banner; `url` is then the server's address, e.g. http://127.0.0.1:41234."""
        self.url = self._urls.get(timeout=START_TIMEOUT_S)
        assert self.url, "the server did not start:\n" + "".join(self.lines)

    def stop(self, number: int = signal.SIGTERM, *, group: bool = False) -> int:
        """Send a signal, to all its processes as a terminal does or to the one, and wait for the end; the
        exit status.
        """
        if group:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        status = self.process.wait(timeout=60)
        self._reader.join(timeout=5)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status

    def forget(self) -> None:
        """Remove what it has stored in its own folder."""
        self._state.cleanup()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if match := re.search(r"at (http://\S+)/v1", line):
                self._urls.put(match[1])
        self._urls.put("")


@contextmanager
def server_process(
    *arguments: str, model: str | None = BLANK_NAME, **environment: str
) -> Iterator[ServerProcess]:
    """Start, and always end."""
    server = ServerProcess(*arguments, model=model, **environment)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()
        server.forget()


class InProcessServer:
    """A server inside this process, on a thread: its parts can be reached while it serves."""

    def __init__(self, settings: Settings) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.services: Services = self.run(self._start(settings))
        self._server = uvicorn.Server(
            uvicorn.Config(
                create_app(self.services), host="127.0.0.1", port=0, log_level="warning", lifespan="off"
            )
        )
        self._serving = asyncio.run_coroutine_threadsafe(self._server.serve(), self._loop)
        while not self._server.started:
            self.run(asyncio.sleep(0.01))
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    @property
    def engine(self) -> Engine:
        """The engine that serves now."""
        supervised = self.services.engine
        assert isinstance(supervised, SupervisedEngine)
        assert isinstance(supervised._engine, Engine)
        return supervised._engine

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=START_TIMEOUT_S)

    def close(self) -> None:
        """End the server and its engine."""
        self._server.should_exit = True
        self._serving.result(timeout=30)
        self.run(self.services.close())
        del (
            self.services,
            self._server,
        )  # vLLM's engine object complains if the interpreter ends before it does
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=30)
        self._loop.close()

    @staticmethod
    async def _start(settings: Settings) -> Services:
        from phiserve.assembly import start_services

        prepare_environment()  # as for a real server: or idle threads of the engine would spin, on all cores
        assert settings.model is not None
        services, _ = await start_services(settings, open_checkpoint(settings.model))
        return services
