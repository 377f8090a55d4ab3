"""What is stored outlives its server: killed in the middle of an answer, or asked to end."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import openai
from openai.types.responses import Response

from e2e.conftest import MODEL
from e2e.processes import wait_until
from e2e.running import server_process
from e2e.test_responses_stored import polled
from phiserve.store.interface import StoredResponse
from phiserve.store.limits import StoreLimits
from phiserve.store.opening import open_store

TOKENS = 300
"""Seconds of work, which random weights do not end earlier."""

SHORT = ("--engine", "max_model_len=1152")
"""What needs little memory: its context in tokens."""


def stored(url: str, response_id: str) -> StoredResponse | None:
    """A response, without any server."""

    async def run() -> StoredResponse | None:
        store = open_store(url, StoreLimits())
        assert store is not None
        try:
            return await store.response("", response_id)
        finally:
            await store.close()

    return asyncio.run(run())


def test_a_response_outlives_its_server(tmp_path: Path) -> None:
    """Killed while it answers in the background, a server's successor answers; what a client had stays. On
    SIGTERM a background response and a stream are brought to their end, and stored.
    """
    url = f"sqlite:///{tmp_path / 'state.db'}"
    settings = {"PHISERVE_STATE_URL": url, "PHISERVE_SHUTDOWN_GRACE_S": "120"}
    asked: dict[str, Any] = {"model": MODEL, "input": "Hi", "max_output_tokens": TOKENS, "temperature": 0}
    with server_process(*SHORT, **settings) as server:
        server.wait_until_ready()
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        had = client.responses.create(model=MODEL, input="Hi", max_output_tokens=4)
        queued = client.responses.create(background=True, **asked)
        wait_until(lambda: client.responses.retrieve(queued.id).status == "in_progress")
        client.close()
        server.stop(signal.SIGKILL)
    left = stored(url, queued.id)
    assert left is not None
    assert left.status == "in_progress"
    with server_process(*SHORT, **settings) as server:
        server.wait_until_ready()
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        assert client.responses.retrieve(had.id) == had
        ended = polled(client, queued.id)
        assert ended.usage.output_tokens == TOKENS
        second = client.responses.create(background=True, **asked)
        events = iter(client.responses.create(stream=True, **asked))
        next(events)
        wait_until(lambda: client.responses.retrieve(second.id).status == "in_progress")
        server.process.send_signal(signal.SIGTERM)
        *_, last = events
        client.close()
        server.process.wait(timeout=240)
        assert server.stop() == 0
    assert last.type == "response.incomplete"
    told = stored(url, last.response.id)
    assert told is not None
    assert Response.model_validate_json(told.payload) == last.response
    in_background = stored(url, second.id)
    assert in_background is not None
    assert in_background.status == "incomplete"
