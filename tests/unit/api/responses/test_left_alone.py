"""Responses that other servers take for left alone: whoever works on them keeps them, or says it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from phiserve.api.responses import background
from phiserve.api.responses.keeping import Keeper, Kept
from phiserve.api.services import Services
from responses_types import events_of
from scripted import ScriptedEngine, delta
from stateful import PATH, WAIT_S, Held, answered, ended, fetched, running, until
from stored import busy, left_alone, opened, response
from unit.store.conftest import PostgresServer

MakeServices = Callable[..., Services]


def test_a_renewal_while_it_is_being_stored(postgresql: PostgresServer) -> None:
    """Does not find it, since nothing is committed yet; it is renewed from then on all the same."""
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

    async def run() -> None:
        url = postgresql.new_place()
        store, other = opened(url), opened(url)
        keeper = Keeper(store)
        kept = Kept(keeper, response(status="in_progress"), ())
        with psycopg.connect(postgresql.url(), autocommit=True) as connection:
            async with busy(other):
                beginning = asyncio.create_task(kept.begin())
                while connection.execute(waiting).fetchone() != (1,):
                    await asyncio.sleep(0.01)
                await keeper.renew()
        await beginning
        await left_alone(store)
        await keeper.renew()
        assert await other.claim_unfinished(500, 10) == []
        await store.close()
        await other.close()

    asyncio.run(run())


@pytest.mark.parametrize("stream", [False, True])
def test_one_that_another_server_removed(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """Its client is told: what is not stored is not acknowledged."""
    held = Held()
    monkeypatch.setattr(background, "RENEW_S", WAIT_S)

    async def run() -> None:
        services = make_services(held.engine, state=tmp_path)
        others = make_services(
            ScriptedEngine(), state=tmp_path
        )  # not later: to open the state holds up the loop
        async with running(services) as client:
            asking = asyncio.create_task(client.post(PATH, json={"input": "Hi", "stream": stream}))
            await asyncio.wait_for(held.reached.wait(), WAIT_S)
            (response_id,) = [generation.request_id for generation in held.engine.generations]
            assert services.store is not None
            await left_alone(services.store)
            async with running(others) as other:
                while (await other.get(f"{PATH}/{response_id}")).status_code != 404:
                    await asyncio.sleep(0)
            held.may_go_on.set()
            told = await asyncio.wait_for(asking, WAIT_S)
            if stream:
                error, failed = events_of(told.text)[-2:]
                assert (error["code"], failed["type"]) == ("not_found", "response.failed")
            else:
                assert (told.status_code, told.json()["error"]["code"]) == (503, "store_unavailable")
            assert (await client.get(f"{PATH}/{response_id}")).status_code == 404

    asyncio.run(run())


def test_one_that_another_server_answered(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream of it ends in what is stored, not in what this server would have stored."""
    held = Held()
    monkeypatch.setattr(background, "RENEW_S", WAIT_S)
    other_engine = ScriptedEngine([delta("Another", ids=[5], finish="stop")])

    async def run() -> None:
        services = make_services(held.engine, state=tmp_path)
        async with running(services) as client:
            queued = await answered(client, input="Hi", background=True)
            await asyncio.wait_for(held.reached.wait(), WAIT_S)
            body = {"input": "Hi", "background": True, "stream": True}
            asking = asyncio.create_task(client.post(PATH, json=body))
            await until(lambda: len(held.engine.generations) == 2)
            assert services.store is not None
            await left_alone(services.store)
            async with running(make_services(other_engine, state=tmp_path)) as other:
                for generation in held.engine.generations:
                    assert (await ended(other, generation.request_id))["status"] == "completed"
            held.may_go_on.set()
            last = events_of((await asyncio.wait_for(asking, WAIT_S)).text)[-1]
            assert last["type"] == "response.completed"
            assert last["response"]["output"][0]["content"][0]["text"] == "Another"
            for told in (queued, last["response"]):
                stored = await fetched(client, f"{PATH}/{told['id']}")
                assert stored["output"][0]["content"][0]["text"] == "Another"

    asyncio.run(run())


def test_it_is_renewed_while_the_store_is_cleared(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long that takes."""
    held = Held()
    monkeypatch.setattr(background, "RENEW_S", 0.01)

    async def run() -> None:
        services = make_services(held.engine, state=tmp_path)
        store: Any = services.store
        renewed, renew = asyncio.Event(), store.renew

        async def renew_and_tell(ids: Any) -> Any:
            found = await renew(ids)
            renewed.set()
            return found

        store.renew, store.clear_away = renew_and_tell, asyncio.Event().wait
        async with running(services) as client:
            await answered(client, input="Hi", background=True)
            await asyncio.wait_for(renewed.wait(), WAIT_S)
            held.may_go_on.set()

    asyncio.run(run())
