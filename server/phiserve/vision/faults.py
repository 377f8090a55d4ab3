"""What goes wrong over a file: told to the client at its place, and to the log by the file's hash."""

import errno
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from blake3 import blake3

from phiserve.errors import EngineFailure, RequestError, ResourcesLacking, errors_at
from phiserve.vision.decoding import DecodingFault

_LOG = logging.getLogger(__name__)

_LACKING = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOBUFS, errno.ENOSPC)


def lacking(error: Exception) -> ResourcesLacking | None:
    """What an exception says of the server's resources; None where it says nothing of them."""
    lacks = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _LACKING)
    return ResourcesLacking("The server is short of resources; try again later") if lacks else None


def digest_of(content: bytes, cache_salt: str | None) -> str:
    """The BLAKE3 hash of a file in hexadecimal, keyed by the owner's cache salt where there is one."""
    if cache_salt is None:
        return blake3(content).hexdigest()
    return blake3(content, key=blake3(cache_salt.encode()).digest()).hexdigest()


@contextmanager
def faults_logged(content: bytes, noun: str = "image") -> Iterator[None]:
    """Log an unexpected exception over a file with the file's hash, and raise EngineFailure (500).

    ResourcesLacking (503) where it is the server that has not enough of something for the moment.
    Neither the exception's message nor the file's content is logged: both may be private.
    """
    try:
        yield
    except RequestError:
        raise
    except Exception as error:
        name, trace = type(error).__name__, "".join(traceback.format_tb(error.__traceback__))
        if isinstance(error, DecodingFault):
            name, trace = error.name, error.trace
        _LOG.error("%s over the %s with BLAKE3 %s\n%s", name, noun, digest_of(content, None), trace)
        failure = EngineFailure(f"the server failed on this {noun}", code="internal_error")
        raise lacking(error) or failure from None


@contextmanager
def failures_at(param: str) -> Iterator[None]:
    """Attach `param` to an InvalidRequest or EngineFailure raised within, in a new object.

    Requests that share work may meet the same error, each at a path of its own.
    """
    try:
        with errors_at(param):
            yield
    except EngineFailure as failure:
        raise EngineFailure(failure.reason, param=param, code=failure.code) from None
