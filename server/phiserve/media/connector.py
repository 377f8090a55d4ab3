"""Images that are not in the request itself: on the web and in a folder, each only where the settings allow
it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from phiserve.media.folder import ImageFolder
from phiserve.media.url_gate import MAX_URL_CHARACTERS, ForbiddenUrl
from phiserve.media.web import ImageFetcher


def scheme_of(url: str) -> str:
    """The scheme of a URL in lower case, or nothing. Looks at its beginning only: a data URL may be long."""
    return url[:16].partition(":")[0].lower() if ":" in url[:16] else ""


@dataclass(frozen=True, slots=True)
class ImageSources:
    """Where images may come from besides `data:` URLs. None: not from there."""

    web: ImageFetcher | None = None
    folder: ImageFolder | None = None

    async def close(self) -> None:
        """End all connections."""
        if self.web is not None:
            await self.web.close()

    async def fetch(self, url: str, param: str, max_bytes: int, arrived: Callable[[int], None]) -> bytes:
        """The content of an http, https or file URL; `arrived` is told of every piece's size and may raise.

        Raises ForbiddenUrl, DownloadFailed or InvalidImage.
        """
        if len(url) > MAX_URL_CHARACTERS:  # before anything parses it
            raise ForbiddenUrl(f"the URL is longer than {MAX_URL_CHARACTERS} characters", param=param)
        match scheme_of(url):
            case "http" | "https" if self.web is not None:
                return await self.web.fetch(url, param, max_bytes, arrived)
            case "file" if self.folder is not None:
                content = await self.folder.fetch(url, param, max_bytes)
                arrived(len(content))
                return content
            case "http" | "https" | "file" as scheme:
                reason = f"{scheme} URLs are not fetched by this server; send the image as a data URL"
            case _:
                reason = "the image must be a data URL (data:image/…;base64,…)"
        raise ForbiddenUrl(f"{reason}", param=param)
