"""Downloads pictures from the web: every hop judged, resolved once and pinned, within one deadline and one size."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from socket import AddressFamily

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from phiserve import __version__
from phiserve.errors import InvalidImage
from phiserve.vision.limits import too_many_bytes
from phiserve.vision.url_gate import ForbiddenUrl, UrlGate

MAX_REDIRECTS = 3
MAX_CONNECTIONS = 64
"""Downloads at a time; more wait for one of these, within their own deadline."""

_REDIRECTS = (301, 302, 303, 307, 308)
_HEADERS = {"User-Agent": f"phiserve/{__version__}", "Accept": "image/*", "Accept-Encoding": "identity"}


class DownloadFailed(InvalidImage):
    """The picture's server did not hand it over."""

    default_code = "image_download_failed"


class _PrivateAddressError(Exception):
    """A host name leads to an address that is not public."""


class _PublicResolver(AbstractResolver):
    """Resolves through another resolver and refuses a name unless all its addresses are public.

    aiohttp connects to just the addresses returned here, so that a second look-up with another answer never happens.
    """

    def __init__(self, resolver: AbstractResolver, is_public: Callable[[str], bool]) -> None:
        self._resolver = resolver
        self._is_public = is_public

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_INET) -> list[ResolveResult]:
        """Addresses of `host`. Raises OSError if there is none, _PrivateAddressError."""
        found = await self._resolver.resolve(host, port, family)
        if not all(self._is_public(entry["host"]) for entry in found):
            raise _PrivateAddressError
        return found

    async def close(self) -> None:
        """Close the resolver underneath."""
        await self._resolver.close()


class PictureFetcher:
    """Fetches what `gate` lets through, each picture within `timeout_s` seconds. To be made in a running event loop."""

    def __init__(self, gate: UrlGate, timeout_s: float, resolver: AbstractResolver | None = None) -> None:
        self._gate = gate
        self._timeout_s = timeout_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=_PublicResolver(resolver or aiohttp.ThreadedResolver(), gate.is_public),
                use_dns_cache=False,
                limit=MAX_CONNECTIONS,
            ),
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None),  # one deadline of our own spans all hops
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,  # a proxy would resolve names itself, past the resolver
        )

    async def fetch(self, url: str, param: str, max_bytes: int, arrived: Callable[[int], None]) -> bytes:
        """The body of a picture's URL. `arrived` is told of every piece's size and may raise.

        Raises ForbiddenUrl, DownloadFailed, or InvalidImage beyond `max_bytes`.
        """
        try:
            async with asyncio.timeout(self._timeout_s), self._followed(self._gate.check(url, param), param) as response:
                _check_head(response, param, max_bytes)
                return await _read_body(response, param, max_bytes, arrived)
        except TimeoutError:
            message = f"{param}: the picture was not downloaded within {self._timeout_s:g} s"
            raise DownloadFailed(message, param=param) from None
        except _PrivateAddressError:
            raise ForbiddenUrl(f"{param}: that host has no public address", param=param) from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise DownloadFailed(f"{param}: the picture could not be downloaded", param=param) from None

    async def close(self) -> None:
        """End all connections."""
        await self._session.close()

    @asynccontextmanager
    async def _followed(self, url: URL, param: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response at the end of all redirects."""
        for _ in range(MAX_REDIRECTS + 1):
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    yield response
                    return
                url = self._gate.check_redirect(url, response.headers.get("Location", ""), param)
        raise DownloadFailed(f"{param}: the URL redirects more than {MAX_REDIRECTS} times", param=param)


def _check_head(response: aiohttp.ClientResponse, param: str, max_bytes: int) -> None:
    if response.status != 200:
        raise DownloadFailed(f"{param}: the picture's server answered with status {response.status}", param=param)
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise DownloadFailed(f"{param}: the picture's server sent it compressed, unasked", param=param)
    if (response.content_length or 0) > max_bytes:
        raise too_many_bytes(param, max_bytes)


async def _read_body(response: aiohttp.ClientResponse, param: str, max_bytes: int, arrived: Callable[[int], None]) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > max_bytes:
            raise too_many_bytes(param, max_bytes)
        arrived(len(chunk))
    return bytes(content)
