"""A wall clock that jumps by hours changes nothing: whatever waits or counts uses the monotonic one."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

import phiserve
from phiserve.api.app import create_app
from phiserve.api.services import Services
from scripted import ScriptedEngine
from serving import connected, limits, serving
from wire import ANSWER, BODY

PACKAGE = Path(phiserve.__file__).parent
WALL_CLOCK = {
    "access/budgets.py": "windows that several servers share",
    "access/key.py": "a key expires at a date",
    "access/keys_editing.py": "the date of an entry",
    "api/batches/running.py": "a batch expires at a date",
    "api/batches/states.py": "`created_at` of a batch, and when it became what it is",
    "api/chat_writer.py": "`created` of an answer",
    "api/completion_writer.py": "`created` of an answer",
    "api/conversations.py": "`created_at` of a conversation",
    "api/uploads.py": "`created_at` of a part",
    "api/responses/draft.py": "`completed_at` of an answer",
    "assembly.py": "`created` of the model",
    "cli/keys.py": "a key expires at a date",
    "cli/top.py": "times that people read",
    "files/keeping.py": "`created_at` of a file, and when it expires",
    "files/uploads.py": "`created_at` of an upload, and when it expires",
    "protocol/responses/translation.py": "`created_at` of an answer",
    "store/ahead.py": "`renewed_at`, which several servers compare",
    "store/batches.py": "`renewed_at`, which several servers compare",
    "store/blobs.py": "`renewed_at`, which several servers compare",
    "store/clearing.py": "what is stored is removed after days",
    "store/conversations.py": "when a conversation was used last",
    "store/files.py": "files expire at a date",
    "store/removed.py": "what was removed is forgotten after a day",
    "store/responses.py": "`renewed_at`, which several servers compare",
    "store/uploads.py": "uploads expire at a date",
}
"""Modules that ask for the date, and what for. What waits asks for `time.monotonic`."""


def test_who_asks_for_the_date() -> None:
    """Nobody who waits or measures."""
    asking = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(said in path.read_text() for said in ("time.time()", "datetime.now("))
    }
    assert asking <= WALL_CLOCK.keys()


def test_requests_of_a_clock_that_jumps(
    make_services: Callable[..., Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten hours forth and back at each look: whole answers and streams with a deadline, on one connection."""
    now, jumps = time.time(), itertools.cycle((0, 36_000, -36_000))
    monkeypatch.setattr(time, "time", lambda: now + next(jumps))
    app = create_app(make_services(ScriptedEngine(ANSWER)))

    def request(*, stream: bool) -> bytes:
        body = json.dumps(BODY | {"stream": stream}).encode()
        head = f"content-length: {len(body)}\r\nx-request-timeout: 60\r\n\r\n"
        return b"POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\n" + head.encode() + body

    async def run() -> None:
        async with serving(app, limits=limits()) as server, connected(server.port) as client:
            for _ in range(3):
                await client.send(request(stream=False))
                assert b" 200 OK" in await client.until(b'"total_tokens"')
                await client.until(b"}")
                await asyncio.sleep(0.2)  # turns of the server's own clock, which makes the Date header
                await client.send(request(stream=True))
                await client.until(b"data: [DONE]")

    uvloop.run(run())
