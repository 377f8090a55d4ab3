"""Downloads images from the web: every hop judged, resolved once and pinned, within one deadline and one
size.
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
from phiserve.errors import InvalidImage
from phiserve.media.byte_limit import Allowance, MeteredSocket
from phiserve.media.loop_thread import LoopThread
from phiserve.media.resolver import PrivateAddress, PublicResolver, SystemResolver
from phiserve.media.url_gate import ForbiddenUrl, UrlGate
from phiserve.vision.limits import too_many_bytes

MAX_REDIRECTS = 3
MAX_CONNECTIONS = 64
"""Downloads at a time; more wait for one of these, within their own deadline."""

MAX_CONNECTIONS_PER_HOST = 16
"""So that one slow host holds up its own images only."""

_BUFFER_BYTES = 2**15
_FAILED = "the image could not be downloaded"

_REDIRECTS = (301, 302, 303, 307, 308)
_HEADERS = {"User-Agent": f"phiserve/{__version__}", "Accept": "image/*", "Accept-Encoding": "identity"}


class DownloadFailed(InvalidImage):
    """The image's server, or the folder of images, did not hand it over."""

    default_code = "image_download_failed"


class ImageFetcher:
    """Fetches what `gate` lets through, each image within `timeout_s` seconds.

    All of it happens on an event loop of its own: a server that makes aiohttp's parser work hard holds up
    other downloads at most. Connections are not kept, so that every hop is looked up, judged and pinned anew.
    """

    def __init__(self, gate: UrlGate, timeout_s: float, resolver: AbstractResolver | None = None) -> None:
        self._gate = gate
        self._timeout_s = timeout_s
        self._resolver = PublicResolver(resolver or SystemResolver(), gate.is_public)
        self._thread = LoopThread("phiserve-fetch")
        self._allowance: ContextVar[Allowance] = ContextVar("allowance")
        self._open_session: aiohttp.ClientSession | None = None

    async def fetch(self, url: str, param: str, max_bytes: int, arrived: Callable[[int], None]) -> bytes:
        """The body of an image's URL. `arrived` is told of every piece's size, on a thread of ours, and may
        raise.

        Raises ForbiddenUrl, DownloadFailed, or InvalidImage beyond `max_bytes`.
        """
        return await self._thread.run(self._fetch(url, param, max_bytes, arrived))

    async def close(self) -> None:
        """End all downloads, connections and the thread."""
        await self._thread.close(self._close_session)

    async def _fetch(self, url: str, param: str, max_bytes: int, arrived: Callable[[int], None]) -> bytes:
        allowance = Allowance()
        self._allowance.set(allowance)  # of this task and the sockets it opens
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._followed(self._gate.check(url, param), param) as response,
            ):
                _check_head(response, param, max_bytes)
                return await _read_body(response, param, max_bytes, allowance, arrived)
        except TimeoutError:
            message = f"the image was not downloaded within {self._timeout_s:g} s"
            raise DownloadFailed(message, param=param) from None
        except PrivateAddress:
            raise ForbiddenUrl("that host has no public address", param=param) from None
        except (aiohttp.ClientError, OSError, ValueError):
            fault = "the image's server sent too much besides the image" if allowance.exhausted else _FAILED
            raise DownloadFailed(f"{fault}", param=param) from None

    @asynccontextmanager
    async def _followed(self, url: URL, param: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response at the end of all redirects."""
        for _ in range(MAX_REDIRECTS + 1):
            async with self._session().get(url, allow_redirects=False) as response:
                if response.status not in _REDIRECTS:
                    yield response
                    return
                url = self._gate.check_redirect(url, response.headers.get("Location", ""), param)
        raise DownloadFailed(f"the URL redirects more than {MAX_REDIRECTS} times", param=param)

    def _session(self) -> aiohttp.ClientSession:
        """The session of all downloads, opened on its loop."""
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
        """Called by aiohttp in the task of the download that needs it."""
        allowance = self._allowance.get()
        allowance.add_received(
            0
        )  # aiohttp tries again where a connection broke off: not if that was for too much
        return MeteredSocket(address[0], allowance)

    async def _close_session(self) -> None:
        if self._open_session is not None:
            await self._open_session.close()


def _check_head(response: aiohttp.ClientResponse, param: str, max_bytes: int) -> None:
    if response.status != 200:
        raise DownloadFailed(f"the image's server answered with status {response.status}", param=param)
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise DownloadFailed("the image's server sent it compressed, unasked", param=param)
    if (response.content_length or 0) > max_bytes:
        raise too_many_bytes(param, max_bytes)


async def _read_body(
    response: aiohttp.ClientResponse,
    param: str,
    max_bytes: int,
    allowance: Allowance,
    arrived: Callable[[int], None],
) -> bytes:
    content = bytearray()
    async for piece in response.content.iter_any():
        allowance.add_read(len(piece))
        content += piece
        if len(content) > max_bytes:
            raise too_many_bytes(param, max_bytes)
        arrived(len(piece))
    return bytes(content)
