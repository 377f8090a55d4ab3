"""Downloads images from the web, each within one deadline and one limit on its size.

Every hop is judged, its host looked up once, and the connection pinned to the addresses found.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from phiserve import __version__
from phiserve.errors import DownloadFailed, ForbiddenUrl
from phiserve.media.byte_limit import ByteLimit, MeteredSocket, too_many_bytes
from phiserve.media.loop_thread import LoopThread
from phiserve.media.resolver import PrivateAddress, PublicResolver, SystemResolver
from phiserve.media.url_gate import UrlGate

MAX_REDIRECTS = 3
MAX_CONNECTIONS = 64
"""Downloads at a time. More of them wait for one of these to end, within their own deadline."""

MAX_CONNECTIONS_PER_HOST = 16
"""Downloads at a time from one host, so that a slow host holds up its own images only."""

_BUFFER_BYTES = 2**15
_FAILED = "the image could not be downloaded"
_TOO_MUCH = "the image's server sent too much besides the image"

_REDIRECTS = (301, 302, 303, 307, 308)
_HEADERS = {"User-Agent": f"phiserve/{__version__}", "Accept-Encoding": "identity"}

IMAGES = "image/*"
"""What is accepted where an image is wanted."""


class WebFetcher:
    """Fetches what `gate` lets through, each image within `timeout_s` seconds.

    All of it happens on an event loop of its own: a server that makes aiohttp's parser work hard holds up
    other downloads at most. Connections are not kept, so that every hop is looked up, judged and pinned anew.
    """

    def __init__(self, gate: UrlGate, timeout_s: float, resolver: AbstractResolver | None = None) -> None:
        self._gate = gate
        self._timeout_s = timeout_s
        self._resolver = PublicResolver(resolver or SystemResolver(), gate.is_public)
        self._thread = LoopThread("phiserve-fetch")
        self._byte_limit: ContextVar[ByteLimit] = ContextVar("byte_limit")
        self._open_session: aiohttp.ClientSession | None = None

    async def fetch(
        self, url: str, max_bytes: int, arrived: Callable[[int], None], accept: str = IMAGES
    ) -> bytes:
        """The body of the response that an image's URL leads to, whose server is told what to `accept`.

        `arrived` is called with the size of each part that has come, on the fetcher's thread, and may raise.
        Raises ForbiddenUrl, DownloadFailed, or InvalidImage for more than `max_bytes`.
        """
        return await self._thread.run(self._fetch(url, max_bytes, arrived, accept))

    async def close(self) -> None:
        """End all downloads, connections and the thread."""
        await self._thread.close(self._close_session)

    async def _fetch(self, url: str, max_bytes: int, arrived: Callable[[int], None], accept: str) -> bytes:
        limit = ByteLimit()
        self._byte_limit.set(limit)  # of this task and the sockets it opens
        try:
            followed = self._followed(self._gate.check(url), accept)
            async with asyncio.timeout(self._timeout_s), followed as response:
                _check_head(response, max_bytes)
                return await _read_body(response, max_bytes, limit, arrived)
        except TimeoutError:
            raise DownloadFailed(f"the image was not downloaded within {self._timeout_s:g} s") from None
        except PrivateAddress:
            raise ForbiddenUrl("that host has no public address") from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise DownloadFailed(_TOO_MUCH if limit.exceeded else _FAILED) from None

    @asynccontextmanager
    async def _followed(self, url: URL, accept: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response at the end of all redirects. Raises DownloadFailed if they are too many."""
        for _ in range(MAX_REDIRECTS + 1):
            asked = self._session().get(url, allow_redirects=False, headers={"Accept": accept})
            async with asked as response:
                if response.status not in _REDIRECTS:
                    yield response
                    return
                url = self._gate.check_redirect(url, response.headers.get("Location", ""))
        raise DownloadFailed(f"the URL redirects more than {MAX_REDIRECTS} times")

    def _session(self) -> aiohttp.ClientSession:
        """The session of all downloads, opened on the fetcher's loop when it is first needed."""
        if self._open_session is None:
            self._open_session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=self._resolver,
                    use_dns_cache=False,
                    limit=MAX_CONNECTIONS,
                    limit_per_host=MAX_CONNECTIONS_PER_HOST,
                    force_close=True,
                    socket_factory=self._open_socket,
                ),
                headers=_HEADERS,
                timeout=aiohttp.ClientTimeout(total=None),  # one deadline of our own spans all hops
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,  # a proxy would resolve names itself, past the resolver
                read_bufsize=_BUFFER_BYTES,
            )
        return self._open_session

    def _open_socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        """A socket that counts for the download in whose task aiohttp calls this."""
        limit = self._byte_limit.get()
        limit.add_received(0)  # aiohttp tries again where a connection broke off: not beyond the limit
        return MeteredSocket(address[0], limit)

    async def _close_session(self) -> None:
        if self._open_session is not None:
            await self._open_session.close()


def _check_head(response: aiohttp.ClientResponse, max_bytes: int) -> None:
    if response.status != 200:
        raise DownloadFailed(f"the image's server answered with status {response.status}")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise DownloadFailed("the image's server sent it compressed, unasked")
    if (response.content_length or 0) > max_bytes:
        raise too_many_bytes(max_bytes)


async def _read_body(
    response: aiohttp.ClientResponse, max_bytes: int, limit: ByteLimit, arrived: Callable[[int], None]
) -> bytes:
    content = bytearray()
    async for part in response.content.iter_any():
        limit.add_read(len(part))
        content += part
        if len(content) > max_bytes:
            raise too_many_bytes(max_bytes)
        arrived(len(part))
    return bytes(content)
