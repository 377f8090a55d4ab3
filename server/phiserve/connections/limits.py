"""Limits on connections: how many, how long they may take to say something, and how much before any key."""

import os
import resource
from dataclasses import dataclass

MAX_HEAD_BYTES = 64 * 1024
"""Largest request line with all header fields, as nginx and h11 have it (a few times over)."""

MIN_BODY_RATE = 16 * 1024
"""Bytes of a body that earn its sender one more second: 100 MB may take over an hour and a half."""

MIN_READ_RATE = 1024
"""Bytes a second that a client must read of an answer that waits for it."""

KEEP_ALIVE_S = 65
"""Seconds that an idle connection stays open, longer than clients keep theirs.

httpx closes after 5 s, as uvicorn does by default; a request sent in that instant would be lost.
"""

SPARE_CONNECTIONS = 16
"""Connections over the limit whose requests are refused with a status, not by closing the socket."""

_MOST_CONNECTIONS = 10_000
_FEWEST_CONNECTIONS = 8
_RESERVED_DESCRIPTORS = 32
"""For what requests open: downloads, files of the folder, shared memory, a new engine's sockets."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What a client may do before it has a key, and how long the server waits for it, in seconds.

    A head must be there `head_timeout_s` after its connection or the previous request. A body has
    `body_timeout_s`, and a second for each `MIN_BODY_RATE` bytes that have come. An answer that its client
    does not read is cut after `read_timeout_s`.
    """

    max_connections: int
    head_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    read_timeout_s: float = 60.0
    keep_alive_s: int = KEEP_ALIVE_S


def affordable_connections() -> int:
    """How many connections this process's descriptors allow, beside those that are open and some to spare."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    free = allowed - _open_descriptors() - _RESERVED_DESCRIPTORS - SPARE_CONNECTIONS
    return max(_FEWEST_CONNECTIONS, min(_MOST_CONNECTIONS, free))


def _open_descriptors() -> int:
    """Descriptors that are open now; the one that looks is among them."""
    return len(os.listdir("/dev/fd"))
