"""How long a client says that it will wait: the header `x-request-timeout`, in seconds."""

import math

from starlette.requests import Request

from phiserve.api.header import header_of
from phiserve.errors import InvalidRequest, shortened

HEADER = "x-request-timeout"


def deadline_s_of(request: Request, most: float | None) -> float | None:
    """Seconds within which a request must be answered whole; None for no such limit.

    `most` is the server's own limit. Raises InvalidRequest for what is no number of seconds above zero.
    """
    given = header_of(request.scope, HEADER.encode())
    if given is None:
        return most
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        reason = f"this must be a number of seconds above 0, got {shortened(given)!r}"
        raise InvalidRequest(reason, param=HEADER)
    return seconds if most is None else min(seconds, most)
