"""Responses in the background within their key's limits, the server's, and its end; what is told of them."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from images import data_url, encode, noise
from key_files import bearer, write_keys
from phiserve.access.visit import REFUSED
from phiserve.api.responses import background
from phiserve.api.services import Services
from phiserve.api.shutdown import Shutdown
from phiserve.core import GenerationRequest
from phiserve.engine.interface import Admission
from phiserve.errors import EngineUnavailable, Overloaded, RequestError
from responses_types import events_of
from scripted import ScriptedEngine, delta
from stateful import PATH, WAIT_S, Held, answered, ended, fetched, running, until
from wire import ANSWER

MakeServices = Callable[..., Services]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for that takes seconds in a real server."""
    monkeypatch.setattr(background, "RENEW_S", 0.01)
    monkeypatch.setattr(background, "RETRY_S", 0.01)


def test_the_key_s_limits_hold(make_services: MakeServices, tmp_path: Path) -> None:
    """Its requests at once count those in the background, which wait for each other; its tokens count too."""
    held = Held()
    keys = write_keys(tmp_path / "keys.yaml", alice={"concurrent_requests": 1})
    alice = bearer("alice")

    async def run() -> None:
        services = make_services(held.engine, state=tmp_path, keys_file=str(keys))
        async with running(services) as client:
            body = {"input": "Hi", "background": True}
            queued = [(await client.post(PATH, json=body, headers=alice)).json()]
            await asyncio.wait_for(held.reached.wait(), WAIT_S)
            refused = await client.post(PATH, json={"input": "Hi"}, headers=alice)
            assert refused.status_code == 429
            held.may_go_on.set()
            while (response := (await client.get(f"{PATH}/{queued[0]['id']}", headers=alice)).json())[
                "status"
            ] != "completed":
                await asyncio.sleep(0)
            assert response["output"][0]["content"][0]["text"] == "Hello"

    asyncio.run(run())


@pytest.mark.parametrize("num_at_once", [1, 2])
def test_streams_of_it_take_no_place(make_services: MakeServices, tmp_path: Path, num_at_once: int) -> None:
    """Else each would wait for a response that waits for the place that the stream has."""
    keys = write_keys(tmp_path / "keys.yaml", alice={"concurrent_requests": num_at_once})

    async def run() -> None:
        services = make_services(ScriptedEngine(ANSWER), state=tmp_path, keys_file=str(keys))
        async with running(services) as client:
            body = {"input": "Hi", "background": True, "stream": True}
            asking = [client.post(PATH, json=body, headers=bearer("alice")) for _ in range(num_at_once)]
            for streamed in await asyncio.wait_for(asyncio.gather(*asking), WAIT_S):
                assert events_of(streamed.text)[-1]["type"] == "response.completed"

    asyncio.run(run())


def test_what_is_tried_again_uses_nothing(make_services: MakeServices, tmp_path: Path) -> None:
    """Images are counted before the server has room for their request, and once for all attempts."""
    keys = write_keys(tmp_path / "keys.yaml", alice={"images_per_minute": 1, "tokens_per_minute": 4000})
    engine = ScriptedEngine(ANSWER)
    failures: list[RequestError] = [Overloaded("full", retry_after_s=0), EngineUnavailable("none")] * 3
    before = REFUSED.labels("images")._value.get()

    async def admit(request: GenerationRequest) -> Admission:
        if failures:
            raise failures.pop()
        return Admission()

    engine.admit = admit  # type: ignore[method-assign]

    async def run() -> None:
        services = make_services(engine, state=tmp_path, keys_file=str(keys))
        async with running(services) as client:
            shown = {"type": "input_image", "image_url": data_url(encode(noise(40, 40)))}
            body = {"input": [{"role": "user", "content": [shown]}], "background": True}
            queued = (await client.post(PATH, json=body, headers=bearer("alice"))).json()

            async def poll() -> None:
                path = f"{PATH}/{queued['id']}"
                while (await client.get(path, headers=bearer("alice"))).json()["status"] != "completed":
                    await asyncio.sleep(0.01)

            await asyncio.wait_for(poll(), 10)

    asyncio.run(run())
    assert REFUSED.labels("images")._value.get() == before


def test_a_key_that_is_not_valid_any_more(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that takes over what it asked for lets it fail."""
    held = Held()
    keys = write_keys(tmp_path / "keys.yaml", alice={})
    monkeypatch.setattr(background, "CLAIM_AFTER_S", -1)

    async def run() -> None:
        services = make_services(held.engine, state=tmp_path, keys_file=str(keys))
        async with running(services) as client:
            body = {"input": "Hi", "background": True}
            queued = (await client.post(PATH, json=body, headers=bearer("alice"))).json()
            await asyncio.wait_for(held.reached.wait(), WAIT_S)
        services = make_services(ScriptedEngine(ANSWER), state=tmp_path)
        store = services.store
        assert store is not None
        async with running(services):
            while (found := await store.response("alice", queued["id"])) is None or found.request is not None:
                await asyncio.sleep(0)
            response = json.loads(found.payload)
            assert (response["status"], "key" in response["error"]["message"]) == ("failed", True)

    asyncio.run(run())


def test_too_many(make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner's unfinished ones are bounded, and are told when to come again."""
    held = Held()
    monkeypatch.setattr(background, "MAX_UNFINISHED_OF_OWNER", 2)

    async def run() -> None:
        async with running(make_services(held.engine, state=tmp_path)) as client:
            body = {"input": "Hi", "background": True}
            statuses = [(await client.post(PATH, json=body)).status_code for _ in range(3)]
            assert statuses == [200, 200, 429]

    asyncio.run(run())


def test_the_end_of_the_server_waits(make_services: MakeServices, tmp_path: Path) -> None:
    """For what is being answered; no other begins then, and stays queued."""
    held = Held()
    shutdown = Shutdown()

    async def run() -> None:
        async with running(make_services(held.engine, state=tmp_path), shutdown) as client:
            assert not shutdown.is_awaited
            first = await answered(client, input="Hi", background=True)
            await asyncio.wait_for(held.reached.wait(), WAIT_S)
            assert shutdown.is_awaited
            later = [await answered(client, input="Hi", background=True) for _ in range(9)]
            shutdown.begin()
            held.may_go_on.set()
            await until(lambda: not shutdown.is_awaited)
            assert (await fetched(client, f"{PATH}/{first['id']}"))["status"] == "completed"
            last = await fetched(client, f"{PATH}/{later[-1]['id']}")
            assert last["status"] == "queued"

    asyncio.run(run())


def test_what_it_says_of_itself(make_services: MakeServices, tmp_path: Path, capsys: Any) -> None:
    """A line of its own in the log, with counts and without content."""
    services = make_services(
        ScriptedEngine([delta(" Hello", ids=[5], finish="stop")]), state=tmp_path, log_requests="json"
    )

    async def run() -> str:
        async with running(services) as client:
            queued = await answered(client, input="Something secret", background=True)
            await ended(client, queued["id"])
            return str(queued["id"])

    response_id = asyncio.run(run())
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (line,) = [line for line in lines if line["route"] == "background"]
    assert (line["id"], line["outcome"], line["completion_tokens"]) == (response_id, "ok", 1)
    assert "secret" not in json.dumps(lines)
