"""Fetches images that are not in the request itself, from the web or a folder, if the settings allow it."""

from collections.abc import Callable
from dataclasses import dataclass

from phiserve.errors import ForbiddenUrl
from phiserve.media.folder import MediaFolder
from phiserve.media.url_gate import check_length
from phiserve.media.web import WebFetcher


def scheme_of(url: str) -> str:
    """The scheme of a URL in lower case, or an empty string.

    Only the first 16 characters are looked at: a data URL may be long.
    """
    return url[:16].partition(":")[0].lower() if ":" in url[:16] else ""


@dataclass(frozen=True, slots=True)
class MediaConnector:
    """Fetches images by http, https and file URLs. Without `web` or `folder`, such URLs are refused."""

    web: WebFetcher | None = None
    folder: MediaFolder | None = None

    async def close(self) -> None:
        """End all connections."""
        if self.web is not None:
            await self.web.close()

    async def fetch(self, url: str, max_bytes: int, arrived: Callable[[int], None]) -> bytes:
        """The content of an http, https or file URL.

        `arrived` is called with the size of each part that has come, and may raise. Raises ForbiddenUrl,
        DownloadFailed, or InvalidImage for more than `max_bytes`.
        """
        check_length(url)  # before anything parses it
        match scheme_of(url):
            case "http" | "https" if self.web is not None:
                return await self.web.fetch(url, max_bytes, arrived)
            case "file" if self.folder is not None:
                content = await self.folder.fetch(url, max_bytes)
                arrived(len(content))
                return content
            case "http" | "https" | "file" as scheme:
                reason = f"{scheme} URLs are not fetched by this server; send the image as a data URL"
            case _:
                reason = "the image must be a data URL (data:image/…;base64,…)"
        raise ForbiddenUrl(reason)
