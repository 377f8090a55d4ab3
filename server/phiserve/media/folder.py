"""Reads images by `file://` URLs, below one folder that the settings name."""

import asyncio
import os
import stat
from functools import partial
from pathlib import Path

from phiserve.errors import DownloadFailed, ForbiddenUrl, InvalidImage
from phiserve.media.byte_limit import too_many_bytes
from phiserve.media.daemon_threads import DaemonThreads
from phiserve.media.url_gate import parse_url

MAX_READS = 16
"""Reads at a time, including those that nobody waits for any more."""


class MediaFolder:
    """Reads regular files below `folder`, each within `timeout_s` seconds.

    Symbolic links are followed, and what they lead to must be below `folder` as well. Everything else is
    answered alike, as absent. Reads have threads of their own: the folder may be on another machine that does
    not answer.
    """

    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._folder = folder.resolve()
        self._timeout_s = timeout_s
        self._threads = DaemonThreads("phiserve-read", MAX_READS)

    async def fetch(self, url: str, max_bytes: int) -> bytes:
        """Like `read`, off the event loop.

        Also raises DownloadFailed, after `timeout_s` seconds or if the file can't be read.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._threads.run(partial(self.read, url, max_bytes))
        except TimeoutError:
            raise DownloadFailed(f"the image was not read within {self._timeout_s:g} s") from None
        except OSError:
            raise DownloadFailed("the image could not be read") from None

    def read(self, url: str, max_bytes: int) -> bytes:
        """The content of a `file:///…` URL.

        Raises ForbiddenUrl if there is no such file, InvalidImage if it is empty or larger than `max_bytes`.
        """
        try:
            descriptor = self._open(_path_of(url))
        except (OSError, ValueError, RuntimeError):
            reason = "there is no such file in the folder that this server reads images from"
            raise ForbiddenUrl(reason) from None
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise too_many_bytes(max_bytes)
        if not content:
            raise InvalidImage("the image is empty")
        return content

    def _open(self, path: Path) -> int:
        """Open a regular file below the folder and return its descriptor.

        Does not wait, as it would for a FIFO, and looks again at what has been opened: a link may change in
        between. Raises OSError or ValueError.
        """
        if not self._is_inside(path.resolve(strict=True)):
            raise ValueError
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if self._is_inside(Path(f"/proc/self/fd/{descriptor}").readlink()) and stat.S_ISREG(
            os.fstat(descriptor).st_mode
        ):
            return descriptor
        os.close(descriptor)
        raise ValueError

    def _is_inside(self, path: Path) -> bool:
        return path.is_relative_to(self._folder)


def _path_of(url: str) -> Path:
    parsed = parse_url(url)
    is_local = parsed.raw_host in (None, "", "localhost")
    if not is_local or parsed.query_string or not parsed.path.startswith("/"):
        raise ValueError
    return Path(parsed.path)
