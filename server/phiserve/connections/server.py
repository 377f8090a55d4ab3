"""The server's beginning and end: it says when it listens, and lets running requests finish."""

import asyncio
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from functools import partial
from types import FrameType
from typing import cast

import uvicorn

from phiserve.api.request_log import RequestLog
from phiserve.api.shutdown import Shutdown
from phiserve.connections.connection import ClientConnection
from phiserve.connections.ends import RequestEnds
from phiserve.connections.limits import ConnectionLimits
from phiserve.connections.open import OpenConnections

_TICK_S = 0.1
"""As uvicorn's main loop."""

_FAREWELL_S = 2.0
"""Seconds in which requests whose time is over may still say so."""


def server_config(
    app: Callable[..., Awaitable[None]], limits: ConnectionLimits, log: RequestLog
) -> uvicorn.Config:
    """uvicorn's configuration with our connections. `log` is told what the application does not see."""
    ends = RequestEnds(log)
    connection = partial(ClientConnection, connections=OpenConnections(limits), ends=ends)
    return uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", connection),  # called like the class, which is all uvicorn does
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=limits.keep_alive_s,
    )


class DrainingServer(uvicorn.Server):
    """Calls `announce` once connections are accepted, and ends in steps.

    On SIGTERM or Ctrl-C it goes on accepting connections (`Shutdown` has what they are answered) while
    requests run, for `grace_s` seconds at most and `delay_s` at least. Then what still runs is told to end.
    A second signal skips the waiting: `hurried_by` is its number. `serve` returns after SIGTERM, so that the
    process ends with status 0.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        shutdown: Shutdown,
        *,
        grace_s: float,
        delay_s: float = 0,
        announce: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._shutdown = shutdown
        self._grace_s = grace_s
        self._delay_s = delay_s
        self._announce = announce
        self.hurried_by: int | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then announce it."""
        await super().startup(sockets)
        self._announce()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; at a second signal, end at once."""
        if self.should_exit:
            self.force_exit = True
            self.hurried_by = sig
        self._shutdown.begin()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for running requests, end those that take too long, then close everything."""
        self._shutdown.begin()
        for connection in list(self.server_state.connections):
            if isinstance(connection, ClientConnection):
                connection.close_after_answer()
        await self._wait_for_requests()
        await self._end_requests()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._wait_until(lambda: not self.server_state.connections, 0 if self.force_exit else 1)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)
        is_hurried = self.hurried_by is not None
        self._captured_signals = [  # uvicorn would end the process by them
            sig for sig in self._captured_signals if sig != signal.SIGTERM and not is_hurried
        ]

    async def _wait_for_requests(self) -> None:
        earliest = time.monotonic() + self._delay_s
        await self._wait_until(
            lambda: self.force_exit or not (self._runs() or time.monotonic() < earliest),
            max(self._grace_s, self._delay_s),
        )

    def _runs(self) -> bool:
        return bool(self.server_state.tasks) or self._shutdown.is_awaited

    async def _end_requests(self) -> None:
        """Cancel what runs: each tells its client (`Shutdown.is_over`)."""
        self._shutdown.finish()
        if running := list(self.server_state.tasks):
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=_FAREWELL_S)

    async def _wait_until(self, condition: Callable[[], bool], most_s: float) -> None:
        deadline = time.monotonic() + most_s
        while not condition() and time.monotonic() < deadline:
            await asyncio.sleep(_TICK_S)
            await self.on_tick(0)  # answers carry the date
