"""`file://` URLs, below one folder that the settings name."""

import asyncio
import os
import stat
from functools import partial
from pathlib import Path

from phiserve.errors import InvalidImage
from phiserve.media.daemon_threads import DetachedThreads
from phiserve.media.url_gate import ForbiddenUrl, parse_url
from phiserve.media.web import DownloadFailed
from phiserve.vision.limits import too_many_bytes

MAX_READS = 16
"""At a time; a read that nobody waits for any more counts until it ends."""


class ImageFolder:
    """Reads regular files below `folder`, wherever symbolic links lead; everything else is answered alike, as
    absent.

    Each within `timeout_s` seconds, on threads of their own: the folder may be on another machine that does
    not answer.
    """

    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._folder = folder.resolve()
        self._timeout_s = timeout_s
        self._threads = DetachedThreads("phiserve-read", MAX_READS)

    async def fetch(self, url: str, param: str, max_bytes: int) -> bytes:
        """As `read`, off the event loop. Also raises DownloadFailed, after `timeout_s` seconds or when the
        file can't be read.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._threads.run(partial(self.read, url, param, max_bytes))
        except TimeoutError:
            raise DownloadFailed(
                f"the image was not read within {self._timeout_s:g} s", param=param
            ) from None
        except OSError:
            raise DownloadFailed("the image could not be read", param=param) from None

    def read(self, url: str, param: str, max_bytes: int) -> bytes:
        """The content of a `file:///…` URL. Raises ForbiddenUrl, or InvalidImage beyond `max_bytes`."""
        try:
            descriptor = self._open(_path_of(url))
        except (OSError, ValueError, RuntimeError):
            message = "there is no such file in the folder that this server reads images from"
            raise ForbiddenUrl(message, param=param) from None
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise too_many_bytes(param, max_bytes)
        if not content:
            raise InvalidImage("the image is empty", param=param)
        return content

    def _open(self, path: Path) -> int:
        """Open without waiting (a FIFO would) and look again at what has been opened: a link may change in
        between.
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
    if (
        parsed.raw_host not in (None, "", "localhost")
        or parsed.query_string
        or not parsed.path.startswith("/")
    ):
        raise ValueError
    return Path(parsed.path)
