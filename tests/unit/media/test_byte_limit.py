"""What comes off the wire is counted, however asyncio reads it."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from phiserve.media.byte_limit import (
    OVERHEAD_BYTES,
    OVERHEAD_SHARE,
    ByteLimit,
    MeteredSocket,
    too_many_bytes,
)


def test_a_file_that_is_too_large() -> None:
    """The limit is named as in the settings."""
    error = too_many_bytes(10)
    assert (error.code, "10 bytes (max_image_bytes)" in error.message) == ("image_too_large", True)


def test_overhead_is_bounded() -> None:
    """So much is fine without an image, one byte more is not, and then nothing is."""
    limit = ByteLimit()
    limit.add_received(OVERHEAD_BYTES)
    assert not limit.exceeded
    with pytest.raises(ConnectionAbortedError):
        limit.add_received(1)
    assert limit.exceeded
    with pytest.raises(ConnectionAbortedError):
        limit.add_received(0)


def test_images_are_no_overhead() -> None:
    """Their own bytes do not count, and bring some overhead with them."""
    limit = ByteLimit()
    for _ in range(100):
        limit.add_received(OVERHEAD_BYTES)
        limit.add_read(OVERHEAD_BYTES)
    limit.add_received(OVERHEAD_BYTES + 100 * OVERHEAD_BYTES // OVERHEAD_SHARE)
    with pytest.raises(ConnectionAbortedError):
        limit.add_received(1)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


class _Stream(asyncio.Protocol):
    """As plain connections are read: `recv`."""

    def __init__(self, ended: asyncio.Future[Exception | None]) -> None:
        self.ended = ended
        self.received = 0

    def data_received(self, data: bytes) -> None:
        self.received += len(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(exc)


class _Buffered(asyncio.BufferedProtocol):
    """As TLS is read: `recv_into`."""

    def __init__(self, ended: asyncio.Future[Exception | None]) -> None:
        self.ended = ended
        self.received = 0
        self.buffer = bytearray(2**18)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.received += nbytes

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(exc)


@pytest.mark.parametrize("protocol", [_Stream, _Buffered])
@pytest.mark.parametrize("sent", [1000, OVERHEAD_BYTES, OVERHEAD_BYTES + 1])
def test_asyncio_reads_through_it(
    listener: socket.socket, protocol: type[_Stream | _Buffered], sent: int
) -> None:
    """Both ways in which its transports read are counted; beyond the limit the connection breaks off."""

    async def run() -> None:
        limit = ByteLimit()
        metered = MeteredSocket(socket.AF_INET, limit)
        metered.connect(listener.getsockname())
        metered.setblocking(False)
        peer, _ = listener.accept()
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Exception | None] = loop.create_future()
        transport, reading = await loop.create_connection(lambda: protocol(ended), sock=metered)
        with peer:
            sending = asyncio.create_task(asyncio.to_thread(peer.sendall, bytes(sent)))
            if sent > OVERHEAD_BYTES:
                assert isinstance(await ended, ConnectionAbortedError)
                await sending
                assert reading.received <= OVERHEAD_BYTES
            else:
                await sending
        if sent <= OVERHEAD_BYTES:
            assert await ended is None
            assert reading.received == sent
        assert limit.exceeded == (sent > OVERHEAD_BYTES)
        transport.close()

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(run())
