"""The open connections of a server, those that can be closed without loss in the order of their waiting."""

from asyncio import Transport
from typing import Protocol

from prometheus_client import Counter

from phiserve.connections.limits import SPARE_CONNECTIONS, ConnectionLimits

CLOSED = Counter("phiserve_connections_closed", "Connections closed because they were silent.", ["reason"])

TOO_LONG, CROWDED = CLOSED.labels("too_long"), CLOSED.labels("crowded")
"""The time to begin a request was over, or others needed the room."""


class Waiting(Protocol):
    """A connection with no request on it."""

    transport: Transport


class OpenConnections:
    """Counts connections, and makes room for new ones by closing the one that has waited longest.

    So clients that are silent cannot lock out those that have something to say. Those that never said
    anything make room first: the others may be about to ask again, or still be reading their answer.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._open = 0
        self._silent: dict[Waiting, None] = {}
        self._answered: dict[Waiting, None] = {}

    def opened(self, connection: Waiting) -> None:
        """A connection that waits for its first request; another may be closed for it."""
        self._open += 1
        self._silent[connection] = None
        if self._open > self.limits.max_connections + SPARE_CONNECTIONS:
            others = self._silent if len(self._silent) > 1 else self._answered or self._silent
            oldest = next(iter(others))
            CROWDED.inc()
            oldest.transport.abort()

    def closed(self, connection: Waiting) -> None:
        """It is gone."""
        self._open -= 1
        self._forget(connection)

    def begins(self, connection: Waiting) -> bool:
        """A request has come on this connection; whether there is room for it among those that have one."""
        self._forget(connection)
        waiting = len(self._silent) + len(self._answered)
        return self._open - waiting <= self.limits.max_connections

    def rests(self, connection: Waiting) -> None:
        """Its request is answered: it waits for another, or for its end."""
        self._answered[connection] = None

    def _forget(self, connection: Waiting) -> None:
        """It does not wait."""
        self._silent.pop(connection, None)
        self._answered.pop(connection, None)
