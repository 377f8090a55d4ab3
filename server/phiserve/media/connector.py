"""Fetches images that are not in the request itself, from the web or a folder, if the settings allow it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from phiserve.errors import ForbiddenUrl, InvalidImage
from phiserve.media.byte_limit import too_many_bytes
from phiserve.media.content_budget import ContentBudget, ContentShare
from phiserve.media.file_source import FileSource, NoFiles, UploadedFile
from phiserve.media.folder import MediaFolder
from phiserve.media.url_gate import check_length
from phiserve.media.web import IMAGES, WebFetcher
from phiserve.turns import NOBODY, Line

MAX_HELD_BYTES = 2**30
"""Bytes that are held at once where nothing else is said."""

_IGNORED = "".join(map(chr, range(0x21)))
"""Characters that browsers ignore before a URL. Source: WHATWG, URL ("basic URL parser")."""

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/_-]\s*){40,}", re.ASCII)
_BASE64_LOOKED_AT = 256
"""Characters that tell whether a text is base64: there is no colon or dot in them."""


def scheme_of(url: str) -> str:
    """The scheme of a URL in lower case, or an empty string.

    Only the first 16 characters are looked at: a data URL may be long. Before `data:` there may be white
    space.
    """
    scheme, colon, _ = url[:16].partition(":")
    scheme = scheme.lower() if colon else ""
    return "data" if scheme.lstrip(_IGNORED) == "data" else scheme


@dataclass(frozen=True, slots=True)
class MediaConnector:
    """Fetches images by http, https and file URLs. Without `web` or `folder`, such URLs are refused.

    `files`: what finds files that were uploaded before. `budget`: how much of all that is held at once.
    """

    web: WebFetcher | None = None
    folder: MediaFolder | None = None
    files: FileSource = field(default_factory=NoFiles)
    budget: ContentBudget = field(default_factory=lambda: ContentBudget(MAX_HELD_BYTES))

    async def close(self) -> None:
        """End all connections."""
        if self.web is not None:
            await self.web.close()

    async def fetch(
        self,
        url: str,
        max_bytes: int,
        arrived: Callable[[int], None],
        line: Line = NOBODY,
        accept: str = IMAGES,
    ) -> bytes:
        """The content of an http, https or file URL, of a type that `accept` names.

        `arrived` is called with the size of each part that has come, and may raise. `line`: whose share of
        the budget it takes. Raises ForbiddenUrl, DownloadFailed, Overloaded, or InvalidImage for more than
        `max_bytes`.
        """
        share = ContentShare(self.budget, line)

        def counted(num_bytes: int) -> None:
            """Of the request, and of all."""
            arrived(num_bytes)
            share.add(num_bytes)

        with share.fetching():
            return await share.held(await self._fetched(url, max_bytes, counted, accept))

    async def uploaded(
        self,
        owner: str,
        file_id: str,
        max_bytes: int,
        arrived: Callable[[int], None],
        line: Line = NOBODY,
    ) -> bytes:
        """The content of an owner's file that was uploaded before.

        Raises as `find_uploaded` and `read_uploaded` do.
        """
        return await self.read_uploaded(await self.find_uploaded(owner, file_id, max_bytes, arrived), line)

    async def find_uploaded(
        self, owner: str, file_id: str, max_bytes: int, arrived: Callable[[int], None]
    ) -> UploadedFile:
        """An owner's file that was uploaded before, not read yet.

        `arrived` is called with its size, and may raise. Raises InvalidRequest where there is no such file,
        InvalidImage if it is empty or larger than `max_bytes`, and StoreFailure.
        """
        found = await self.files.find(owner, file_id)
        if found.num_bytes > max_bytes:
            raise too_many_bytes(max_bytes)
        if not found.num_bytes:
            raise InvalidImage("the image is empty")
        arrived(found.num_bytes)
        return found

    async def read_uploaded(self, found: UploadedFile, line: Line = NOBODY) -> bytes:
        """The content of an uploaded file. `line`: whose share of the budget it takes.

        Raises Overloaded, StoreFailure, and InvalidRequest where it was deleted meanwhile.
        """
        share = ContentShare(self.budget, line)
        with share.fetching():
            share.add(found.num_bytes)
            return await share.held(await found.read())

    async def _fetched(self, url: str, max_bytes: int, arrived: Callable[[int], None], accept: str) -> bytes:
        scheme = scheme_of(url)
        if scheme in ("http", "https", "file"):
            check_length(url)  # before anything parses it
        match scheme:
            case "http" | "https" if self.web is not None:
                return await self.web.fetch(url, max_bytes, arrived, accept)
            case "file" if self.folder is not None:
                content = await self.folder.fetch(url, max_bytes)
                arrived(len(content))
                return content
            case "http" | "https" | "file":
                reason = f"{scheme} URLs are not fetched by this server; send the image as a data URL"
            case _ if _looks_like_base64(url):
                reason = "this looks like base64 without data:image/…;base64, before it"
            case _:
                reason = "the image must be a data URL (data:image/…;base64,…)"
        raise ForbiddenUrl(reason)


def _looks_like_base64(text: str) -> bool:
    """Whether a text begins with nothing but digits of base64, and enough of them to be no file's name."""
    return _BASE64.fullmatch(text[:_BASE64_LOOKED_AT].rstrip("= \t\r\n")) is not None
