"""Limits on the bytes that are received for an image, counted where they come off the wire.

Besides the size of the file itself, what its server sends in addition is limited. An HTTP parser hands over
heads and bodies only: endless interim responses (`100 Continue`), trailers or a body in chunks of one byte
cost it much time, and whoever counts what it hands over does not see them.
"""

import socket
from typing import TYPE_CHECKING

from phiserve.errors import InvalidImage

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

OVERHEAD_BYTES = 2**18
"""Bytes allowed for heads, handshakes and framing. More than what can wait in buffers: received, but not
yet read as the image's."""

OVERHEAD_SHARE = 8
"""One more byte of overhead is allowed for every so many bytes of the image: TLS and chunks of a sensible
size take less than a hundredth."""

_READ_BYTES = 2**15


def too_many_bytes(max_bytes: int) -> InvalidImage:
    """The error for an image whose file is larger than `max_bytes`."""
    reason = f"the image's file is too large; the limit is {max_bytes} bytes (max_image_bytes)"
    return InvalidImage(reason, code="image_too_large")


class ByteLimit:
    """Limits the bytes received for one image, over all redirects, by the bytes read of the image."""

    def __init__(self) -> None:
        self._received = 0
        self._read = 0
        self.exceeded = False

    def add_received(self, count: int) -> None:
        """Count bytes off the wire.

        Raises ConnectionAbortedError once they are too many, and at every call from then on.
        """
        self._received += count
        if self._received > self._read + self._read // OVERHEAD_SHARE + OVERHEAD_BYTES:
            self.exceeded = True
            raise ConnectionAbortedError("more besides the image than allowed")

    def add_read(self, count: int) -> None:
        """Count bytes of the image."""
        self._read += count


class MeteredSocket(socket.socket):
    """A TCP socket that counts what is read from it.

    asyncio's own transports read through the two methods below, also for TLS.
    """

    def __init__(self, family: int, limit: ByteLimit) -> None:
        super().__init__(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._limit = limit

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Like `socket.recv`, at most 32 KiB at a time.

        Raises ConnectionAbortedError beyond the limit.
        """
        received = super().recv(min(bufsize, _READ_BYTES), flags)
        self._limit.add_received(len(received))
        return received

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int = 0, flags: int = 0) -> int:
        """Like `socket.recv_into`, at most 32 KiB at a time.

        Raises ConnectionAbortedError beyond the limit.
        """
        count = super().recv_into(buffer, min(nbytes or memoryview(buffer).nbytes, _READ_BYTES), flags)
        self._limit.add_received(count)
        return count
