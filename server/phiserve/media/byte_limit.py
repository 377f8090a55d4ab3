"""How much an image's server may send besides the image, counted where it comes off the wire.

An HTTP parser hands over heads and bodies only: endless interim responses (`100 Continue`), trailers or a
body in chunks of one byte cost it much, and nobody who counts what it hands over sees them.
"""

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

OVERHEAD_BYTES = 2**18
"""Of heads, handshakes and framing. More than what can wait in buffers, received but not yet read as the
image's."""

OVERHEAD_SHARE = 8
"""One byte more for every so many of the image: TLS and chunks of a sensible size take less than a
hundredth."""

_PIECE_BYTES = 2**15


class Allowance:
    """Counts what is received for one image, over all redirects, against what has been read of it."""

    def __init__(self) -> None:
        self._received = 0
        self._read = 0
        self.exhausted = False

    def add_received(self, count: int) -> None:
        """Bytes off the wire. Raises ConnectionAbortedError once they are too many; what follows is refused
        alike.
        """
        self._received += count
        if self._received > self._read + self._read // OVERHEAD_SHARE + OVERHEAD_BYTES:
            self.exhausted = True
            raise ConnectionAbortedError("more besides the image than allowed")

    def add_read(self, count: int) -> None:
        """Bytes of the image."""
        self._read += count


class MeteredSocket(socket.socket):
    """A TCP socket whose reads count. asyncio's own transports read through these two methods, TLS
    included.
    """

    def __init__(self, family: int, allowance: Allowance) -> None:
        super().__init__(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._allowance = allowance

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """As socket's, in pieces of bounded size. Raises ConnectionAbortedError beyond the allowance."""
        piece = super().recv(min(bufsize, _PIECE_BYTES), flags)
        self._allowance.add_received(len(piece))
        return piece

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int = 0, flags: int = 0) -> int:
        """As socket's, in pieces of bounded size. Raises ConnectionAbortedError beyond the allowance."""
        count = super().recv_into(buffer, min(nbytes or memoryview(buffer).nbytes, _PIECE_BYTES), flags)
        self._allowance.add_received(count)
        return count
