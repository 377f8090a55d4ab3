"""How a server ends: what running requests get, what new ones are told, and when it is over."""

import asyncio
import json
import signal
from collections.abc import Callable
from typing import Any

import uvloop

from phiserve.api.app import create_app
from phiserve.api.services import Services
from phiserve.api.shutdown import Shutdown
from scripted import ScriptedEngine, delta
from serving import RawClient, Serving, connected, serving
from wire import ANSWER, BODY

MakeServices = Callable[..., Services]
READY = b"GET /ready HTTP/1.1\r\nhost: t\r\n\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n"


def chat(**fields: Any) -> bytes:
    """A request as bytes."""
    body = json.dumps(BODY | fields).encode()
    return b"POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-length: %d\r\n\r\n" % len(body) + body


class Scene:
    """A server whose engine says one word and then waits for `go_on`."""

    def __init__(self, make_services: MakeServices) -> None:
        self.go_on = asyncio.Event()
        engine = ScriptedEngine([delta(" Hel", ids=[5]), self.go_on.wait, *ANSWER[1:]])  # type: ignore[list-item]
        self.shutdown = Shutdown()
        self.app = create_app(make_services(engine), self.shutdown)


async def begun(client: RawClient) -> None:
    """A stream whose first word has come."""
    await client.send(chat(stream=True))
    assert b" 200 " in await client.until(b"Hel")


async def asked(server: Serving, request: bytes) -> bytes:
    """The answer on a connection of its own."""
    async with connected(server.port) as client:
        await client.send(request)
        return await client.rest()


async def running(server: Serving, number: int) -> None:
    """Wait until as many requests run."""
    while len(server.server.server_state.tasks) < number:
        await asyncio.sleep(0.01)


def test_while_it_ends_running_streams_finish(make_services: MakeServices) -> None:
    """The port stays open: /ready says 503 and why, new work is refused and told when to come back, /health
    goes on; the stream comes whole. An idle connection holds nothing up.
    """

    async def run() -> None:
        scene = Scene(make_services)
        async with (
            serving(scene.app, shutdown=scene.shutdown) as server,
            connected(server.port) as idle,
            connected(server.port) as streaming,
        ):
            await idle.send(READY)
            assert b" 200 OK" in await idle.until(b'"ready"}')
            await begun(streaming)
            server.server.handle_exit(signal.SIGTERM, None)
            for request in (READY, chat()):
                refused = await asked(server, request)
                assert b" 503 " in refused
                assert b"retry-after: 2" in refused.lower()
                assert b"The server is shutting down" in refused
            assert b" 200 OK" in await asked(server, HEALTH)
            assert not server.ended.done()
            scene.go_on.set()
            assert (await streaming.rest()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
            await asyncio.wait_for(server.ended, 5)

    uvloop.run(run())


def test_it_waits_for_what_is_no_request(make_services: MakeServices) -> None:
    """For as long as that says that it runs, and no longer."""

    async def run() -> None:
        scene = Scene(make_services)
        is_running = True
        scene.shutdown.wait_for(lambda: is_running)
        async with serving(scene.app, shutdown=scene.shutdown, grace_s=600) as server:
            server.server.handle_exit(signal.SIGTERM, None)
            assert b" 200 " in await asked(server, HEALTH)
            assert not server.ended.done()
            is_running = False
            await asyncio.wait_for(asyncio.shield(server.ended), 20)

    uvloop.run(run())


def test_after_the_grace_clients_are_told(make_services: MakeServices) -> None:
    """A stream gets an error event and its end, a whole answer 503; the engine's requests are closed."""

    async def run() -> None:
        scene = Scene(make_services)
        async with (
            serving(scene.app, shutdown=scene.shutdown, grace_s=0.2) as server,
            connected(server.port) as streaming,
            connected(server.port) as whole,
        ):
            await begun(streaming)
            await whole.send(chat())
            await running(server, 2)
            server.server.handle_exit(signal.SIGTERM, None)
            *_, error, done = (await streaming.rest()).split(b"data: ")
            assert json.loads(error.split(b"\n\n")[0])["error"] == {
                "message": "The server is shutting down",
                "type": "server_error",
                "param": None,
                "code": "engine_unavailable",
            }
            assert done == b"[DONE]\n\n\r\n0\r\n\r\n"
            head, _, body = (await whole.rest()).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503")
            assert b"retry-after" in head.lower()
            assert json.loads(body)["error"]["message"] == "The server is shutting down"
            await asyncio.wait_for(server.ended, 5)

    uvloop.run(run())


def test_a_second_signal_ends_at_once(make_services: MakeServices) -> None:
    """However long the grace would be; clients are still told."""

    async def run() -> None:
        scene = Scene(make_services)
        async with (
            serving(scene.app, shutdown=scene.shutdown, grace_s=600) as server,
            connected(server.port) as streaming,
        ):
            await begun(streaming)
            server.server.handle_exit(signal.SIGTERM, None)
            assert b" 503 " in await asked(server, READY)
            server.server.handle_exit(signal.SIGTERM, None)
            assert b"The server is shutting down" in await streaming.rest()
            await asyncio.wait_for(server.ended, 5)
            assert server.server.hurried_by == signal.SIGTERM

    uvloop.run(run())


def test_sigterm_is_used_up(make_services: MakeServices) -> None:
    """A server that ended in order returns, so that the process ends with 0; nothing that runs holds it."""

    async def run() -> None:
        scene = Scene(make_services)
        async with serving(scene.app, shutdown=scene.shutdown, grace_s=600) as server:
            server.server.handle_exit(signal.SIGTERM, None)
            await asyncio.wait_for(server.ended, 5)
            assert server.server.hurried_by is None

    uvloop.run(run())


def test_the_port_may_stay_open_for_load_balancers(make_services: MakeServices) -> None:
    """For `delay_s`, though nothing runs."""

    async def run() -> None:
        scene = Scene(make_services)
        async with serving(scene.app, shutdown=scene.shutdown, delay_s=600) as server:
            server.server.handle_exit(signal.SIGTERM, None)
            assert b" 503 " in await asked(server, READY)
            assert not server.ended.done()
            server.server.handle_exit(signal.SIGTERM, None)

    uvloop.run(run())


def test_a_client_that_does_not_read_holds_nothing_up(make_services: MakeServices) -> None:
    """At the end of the grace its connection is cut."""
    words = [delta("x" * 100_000, ids=[5]) for _ in range(200)]

    async def run() -> None:
        shutdown = Shutdown()
        app = create_app(make_services(ScriptedEngine([*words, *ANSWER])), shutdown)
        async with (
            serving(app, shutdown=shutdown, grace_s=0) as server,
            connected(server.port) as client,
        ):
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await client.send(chat(stream=True))
            await running(server, 1)
            server.server.handle_exit(signal.SIGTERM, None)
            await asyncio.wait_for(server.ended, 20)

    uvloop.run(run())
