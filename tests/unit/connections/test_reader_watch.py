"""A client that does not read is noticed; one that reads is left alone."""

import asyncio
import socket
from unittest.mock import Mock

from phiserve.connections.limits import MIN_READ_RATE
from phiserve.connections.reader_watch import ReaderWatch

TIMEOUT_S = 0.02


async def checks_until_missed(unread: list[int]) -> int:
    """How many of these amounts of unread bytes are looked at before the client is given up."""
    left = list(unread)
    missed = asyncio.Event()
    with socket.socket() as unused:
        transport = Mock(
            get_write_buffer_size=lambda: left.pop(0), get_extra_info={"socket": unused}.__getitem__
        )
        ReaderWatch(transport, TIMEOUT_S, asyncio.get_running_loop(), missed.set).start()
        await asyncio.wait_for(missed.wait(), 10)
    return len(unread) - len(left)


def test_who_reads_too_little_is_noticed() -> None:
    """Each time that is over is judged by itself; the size is looked at when it begins and when it ends."""
    enough = MIN_READ_RATE * TIMEOUT_S
    standstill = [1000, 1000]
    reads_once = [10_000, 5000, 5000, 5000]
    too_slow = [1000, 1000 - int(enough) + 1]
    assert asyncio.run(checks_until_missed(standstill)) == 2
    assert asyncio.run(checks_until_missed(reads_once)) == 4
    assert asyncio.run(checks_until_missed(too_slow)) == 2


def test_nothing_is_noticed_after_the_end() -> None:
    """Starting twice is starting once, and there is one timer to stop."""

    async def run() -> int:
        loop = Mock()
        with socket.socket() as closed:
            transport = Mock(get_write_buffer_size=lambda: 1, get_extra_info={"socket": closed}.__getitem__)
        watch = ReaderWatch(transport, TIMEOUT_S, loop, lambda: None)
        watch.start()
        watch.start()
        watch.stop()
        watch.stop()
        loop.call_later.return_value.cancel.assert_called_once_with()
        return int(loop.call_later.call_count)

    assert asyncio.run(run()) == 1
