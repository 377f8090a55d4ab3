"""Notices a client that does not read what it is answered."""

import fcntl
import struct
import termios
from asyncio import AbstractEventLoop, TimerHandle, Transport
from collections.abc import Callable

from phiserve.connections.limits import MIN_READ_RATE


class ReaderWatch:
    """Calls `missed` once a client has read fewer than `MIN_READ_RATE` bytes a second for `timeout_s`."""

    def __init__(
        self, transport: Transport, timeout_s: float, loop: AbstractEventLoop, missed: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._timeout_s = timeout_s
        self._loop = loop
        self._missed = missed
        self._check_later: TimerHandle | None = None
        self._unread_bytes = 0

    def start(self) -> None:
        """Bytes wait for the client from now on; nothing happens where they do already."""
        if self._check_later is None:
            self._unread_bytes = self._unread()
            self._check_later = self._loop.call_later(self._timeout_s, self._check)

    def stop(self) -> None:
        """No bytes wait for the client any more."""
        if self._check_later is not None:
            self._check_later.cancel()
            self._check_later = None

    def _check(self) -> None:
        self._check_later = None
        read = self._unread_bytes - self._unread()
        if read < MIN_READ_RATE * self._timeout_s:
            self._missed()
        else:
            self.start()

    def _unread(self) -> int:
        """Bytes that the client's system has not taken: ours, and those in the kernel's buffer.

        That one holds megabytes: a slow client empties it for minutes before it takes more of ours.
        """
        ours = self._transport.get_write_buffer_size()
        try:
            descriptor = self._transport.get_extra_info("socket").fileno()
            kernels = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4))
        except (OSError, ValueError):  # it is closed
            return ours
        return ours + int(struct.unpack("i", kernels)[0])
