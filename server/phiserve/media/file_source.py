"""Files that clients have uploaded before, as whoever reads images or documents sees them.

The interface alone: what keeps the files is `files/`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from phiserve.errors import InvalidRequest, shortened

FILE_NOT_FOUND = "file_not_found"
"""The code of a request that names a file which is not there."""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file that is there, not read yet.

    `num_bytes`: its size, to be held against a limit before `read`, which gives all of it at once and raises
    StoreFailure where it can't be had, or InvalidRequest where it was deleted meanwhile. `content_type` is
    what the client called it, which may be wrong or empty; look at the content. `content` is the content's
    name: what has the same one has the same bytes, for ever.
    """

    id: str
    filename: str
    content_type: str
    num_bytes: int
    content: str
    read: Callable[[], Awaitable[bytes]] = field(repr=False)


class FileSource(Protocol):
    """Finds uploaded files."""

    async def find(self, owner: str, file_id: str) -> UploadedFile:
        """An owner's file (`""` where there are no keys).

        Raises InvalidRequest with the code `file_not_found`, without a path, where there is none, it has
        expired or is another owner's; StoreFailure where the store does not answer.
        """


class NoFiles:
    """The source of a server that keeps none."""

    async def find(self, owner: str, file_id: str) -> UploadedFile:
        """Raises InvalidRequest."""
        reason = "files are not kept by this server (files_url is off); send the content itself"
        raise InvalidRequest(reason, code="unsupported_parameter")


def no_such_file(file_id: str) -> InvalidRequest:
    """The error for a file that is not there for whoever asks, whatever the reason."""
    return InvalidRequest(f"there is no file {shortened(repr(file_id))}", code=FILE_NOT_FOUND)
