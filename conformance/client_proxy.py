"""A proxy between a client and a server that keeps what was asked; answers pass through as they come."""

import asyncio
import json
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import ClientSession, ClientTimeout, web
from pydantic import JsonValue

_HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "content-length",
}
"""Fields that are about one connection (RFC 9110, 7.6.1), and those that are written anew."""

_ADDED = ("accept", "accept-encoding", "content-type", "user-agent")
"""Fields that aiohttp would add to a request that lacks them."""

_LARGEST_BODY = 64 * 2**20
PATIENCE_S = 10.0
"""How long an exchange that is under way is waited for."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request as the server got it, and the answer. `body` is None where there was none, or no JSON."""

    method: str
    path: str
    body: JsonValue
    status: int
    answer: bytes


class RecordingProxy:
    """Listens on a free port of this machine, on a thread of its own, until it is closed."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._exchanges: list[Exchange] = []
        self._under_way = 0
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._session: ClientSession
        self._runner: web.AppRunner
        port = self._run(self._start())
        self.url = f"http://127.0.0.1:{port}"

    def taken(self) -> list[Exchange]:
        """What was exchanged since the last call, in the order of the answers' ends. Waits for those that are
        under way: a client may have read all of an answer before it has ended here.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._under_way == 0, timeout=PATIENCE_S)
            exchanges, self._exchanges = self._exchanges, []
        return exchanges

    def close(self) -> None:
        """Stop listening; requests that are under way end."""
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def _run(self, work: Coroutine[object, object, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    async def _start(self) -> int:
        self._session = ClientSession(timeout=ClientTimeout(total=None), auto_decompress=False)
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port: int = self._runner.addresses[0][1]
        return port

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        """Ask the server the same and pass its answer on, piece by piece; a client that goes ends both."""
        content, answer, status = b"", bytearray(), 0
        with self._changed:
            self._under_way += 1
        try:
            content = await request.read()
            async with self._session.request(
                request.method,
                self._server_url + request.raw_path,
                headers=_end_to_end(request.headers),
                data=content or None,
                allow_redirects=False,
                skip_auto_headers=_ADDED,
            ) as answered:
                status = answered.status
                response = web.StreamResponse(status=status, headers=_end_to_end(answered.headers))
                if request.method == "HEAD":
                    response.content_length = answered.content_length
                await response.prepare(request)
                async for piece in answered.content.iter_any():
                    answer += piece
                    await response.write(piece)
                await response.write_eof()
                return response
        finally:
            exchange = Exchange(request.method, request.raw_path, _json(content), status, bytes(answer))
            with self._changed:
                self._exchanges.append(exchange)
                self._under_way -= 1
                self._changed.notify_all()


def _end_to_end(fields: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in fields.items() if name.lower() not in _HOP_BY_HOP]


def _json(content: bytes) -> JsonValue:
    try:
        value: JsonValue = json.loads(content)
    except ValueError:
        return None
    return value
