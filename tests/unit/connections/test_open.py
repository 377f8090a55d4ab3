"""Which connection makes room for another."""

from dataclasses import dataclass, field
from typing import Any
from unittest.mock import Mock

from phiserve.connections.limits import SPARE_CONNECTIONS, ConnectionLimits
from phiserve.connections.open import OpenConnections


@dataclass(eq=False)
class Connection:
    """One with a transport that notes what is done to it."""

    transport: Any = field(default_factory=Mock)


def test_the_one_that_waited_longest_makes_room() -> None:
    """Never one with a request, however old it is; one that has been answered waits from then on."""
    connections = OpenConnections(ConnectionLimits(max_connections=2))
    working, answered, *silent = (Connection() for _ in range(2 + SPARE_CONNECTIONS))
    for connection in (working, answered, *silent):
        connections.opened(connection)
    assert connections.begins(working)
    assert connections.begins(answered)
    connections.rests(answered)
    connections.opened(Connection())
    assert [each.transport.abort.called for each in (working, answered, *silent)].index(True) == 2
    connections.closed(silent[0])
    connections.opened(Connection())
    assert silent[1].transport.abort.called
    assert not answered.transport.abort.called


def test_who_has_been_answered_stays_while_others_are_silent() -> None:
    """However long ago that was; and a new connection never makes room for itself while there is another."""
    connections = OpenConnections(ConnectionLimits(max_connections=2))
    answered = [Connection() for _ in range(1 + SPARE_CONNECTIONS)]
    for connection in answered:
        connections.opened(connection)
        connections.begins(connection)
        connections.rests(connection)
    silent = [Connection() for _ in range(4)]
    for connection in silent:
        connections.opened(connection)
        for each in (*answered, *silent):
            if each.transport.abort.called:
                each.transport.abort.reset_mock()
                each.transport.closed = True
                connections.closed(each)
    assert [each.transport.closed is True for each in silent] == [True, True, True, False]
    assert not any(each.transport.closed is True for each in answered)


def test_requests_are_bounded() -> None:
    """Those beyond the number of connections are not begun, until another is answered."""
    connections = OpenConnections(ConnectionLimits(max_connections=1))
    first, second = Connection(), Connection()
    connections.opened(first)
    connections.opened(second)
    assert connections.begins(first)
    assert not connections.begins(second)
    connections.rests(second)
    connections.rests(first)
    assert connections.begins(second)
