"""Pictures that are not in the request itself: on the web and in a folder, each only where the settings allow it."""

from collections.abc import Callable
from dataclasses import dataclass

from phiserve.vision.fetch import PictureFetcher
from phiserve.vision.folder import PictureFolder
from phiserve.vision.url_gate import MAX_URL_CHARACTERS, ForbiddenUrl


def scheme_of(url: str) -> str:
    """The scheme of a URL in lower case, or nothing. Looks at its beginning only: a data URL may be long."""
    return url[:16].partition(":")[0].lower() if ":" in url[:16] else ""


@dataclass(frozen=True, slots=True)
class PictureSources:
    """Where pictures may come from besides `data:` URLs. None: not from there."""

    web: PictureFetcher | None = None
    folder: PictureFolder | None = None

    async def close(self) -> None:
        """End all connections."""
        if self.web is not None:
            await self.web.close()

    async def fetch(self, url: str, param: str, max_bytes: int, arrived: Callable[[int], None]) -> bytes:
        """The content of an http, https or file URL; `arrived` is told of every piece's size and may raise.

        Raises ForbiddenUrl, DownloadFailed or InvalidImage.
        """
        if len(url) > MAX_URL_CHARACTERS:  # before anything parses it
            raise ForbiddenUrl(f"{param}: the URL is longer than {MAX_URL_CHARACTERS} characters", param=param)
        match scheme_of(url):
            case "http" | "https" if self.web is not None:
                return await self.web.fetch(url, param, max_bytes, arrived)
            case "file" if self.folder is not None:
                content = await self.folder.fetch(url, param, max_bytes)
                arrived(len(content))
                return content
            case "http" | "https" | "file" as scheme:
                reason = f"{scheme} URLs are not fetched by this server; send the picture as a data URL"
            case _:
                reason = "the picture must be a data URL (data:image/…;base64,…)"
        raise ForbiddenUrl(f"{param}: {reason}", param=param)
