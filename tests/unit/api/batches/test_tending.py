"""Which batches a server works on: one of each owner, its own model's, none once it ends."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batching import asked, chat_line, created, ended, in_state, jsonl, uploaded
from key_files import bearer, write_keys
from phiserve.api.batches import tending as module
from phiserve.api.services import Services
from phiserve.api.shutdown import Shutdown
from phiserve.errors import Overloaded, StoreFailure
from scripted import ScriptedEngine
from stateful import WAIT_S, Held, fetched, running, until
from wire import ANSWER

MakeServices = Callable[..., Services]


def test_owners_take_turns(make_services: MakeServices, tmp_path: Path) -> None:
    """Another's batch does not wait until all of one's are answered; one's own follow one another."""
    held = Held()
    keys = write_keys(tmp_path / "keys.yaml", alice={}, bob={})
    alice, bob = bearer("alice"), bearer("bob")
    content = jsonl([chat_line("a")])

    async def run() -> None:
        async with running(make_services(held.engine, state=tmp_path, keys_file=str(keys))) as client:
            ids = []
            for headers in (alice, alice, bob):
                file_id = await uploaded(client, content, headers=headers)
                ids.append((await asked(client, file_id, headers)).json()["id"])
            await in_state(client, ids[0], "in_progress", headers=alice)
            await in_state(client, ids[2], "in_progress", headers=bob)
            response = await client.get(f"/v1/batches/{ids[1]}", headers=alice)
            assert response.json()["request_counts"]["completed"] == 0
            held.may_go_on.set()
            for batch_id, headers in zip(ids, (alice, alice, bob), strict=True):
                assert (await ended(client, batch_id, headers))["status"] == "completed"
        assert {generation.line for generation in held.engine.generations} == {(1, "alice"), (1, "bob")}

    asyncio.run(run())


def test_another_model_s_is_left_alone(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers of several models may share a store: each answers what was asked of its own."""
    monkeypatch.setattr(module, "RENEW_S", 0.01)
    services = make_services(ScriptedEngine(ANSWER), state=tmp_path)

    async def run() -> None:
        batches = services.batches
        assert batches is not None
        async with running(services) as client:
            file_id = await uploaded(client, jsonl([chat_line("a")]))
            assert await batches.claim("x", "validating", ["another"], (), -1) is None
            batch = (await asked(client, file_id)).json()
            for stage in module.AT_ONCE:
                assert await batches.claim("x", stage, ["another"], (), -1) is None
            assert (await ended(client, batch["id"]))["status"] == "completed"

    asyncio.run(run())


def test_another_name_each_time(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a server began before it lost a batch is not taken for what it does after it has it again."""
    services = make_services(ScriptedEngine(ANSWER), state=tmp_path)
    batches: Any = services.batches
    claim, runners = batches.claim, []

    async def claim_and_tell(runner: str, *arguments: Any) -> Any:
        found = await claim(runner, *arguments)
        runners.extend([runner] if found is not None else [])
        return found

    monkeypatch.setattr(batches, "claim", claim_and_tell)

    async def run() -> None:
        async with running(services) as client:
            await ended(client, (await created(client, jsonl([chat_line("a")])))["id"])

    asyncio.run(run())
    assert len({*runners}) == len(runners) == 2  # validated, then answered


def test_the_end_of_a_server(make_services: MakeServices, tmp_path: Path) -> None:
    """It waits for what is under way, begins nothing new, and another goes on at once."""
    held, shutdown = Held(), Shutdown()
    content = jsonl([chat_line(str(number)) for number in range(200)])

    async def run() -> None:
        async with running(make_services(held.engine, state=tmp_path), shutdown) as client:
            batch = await created(client, content)
            await asyncio.wait_for(held.reached.wait(), WAIT_S)
            assert shutdown.is_awaited
            shutdown.begin()
            held.may_go_on.set()
            await until(lambda: not shutdown.is_awaited)
        num_begun = len(held.engine.generations)
        assert 0 < num_begun < 200
        engine = ScriptedEngine(ANSWER)
        async with running(make_services(engine, state=tmp_path)) as client:
            batch = await ended(client, batch["id"])
            assert batch["request_counts"] == {"total": 200, "completed": 200, "failed": 0}
        assert len(engine.generations) == 200 - num_begun

    asyncio.run(run())


def test_the_end_waits_for_the_store(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is answered is stored before the server ends, and not answered again."""
    engine, shutdown = ScriptedEngine(ANSWER), Shutdown()
    services = make_services(engine, state=tmp_path)
    batches: Any = services.batches
    save, reached, may_go_on = batches.save_results, asyncio.Event(), asyncio.Event()

    async def save_later(*arguments: Any) -> Any:
        reached.set()
        await may_go_on.wait()
        return await save(*arguments)

    monkeypatch.setattr(batches, "save_results", save_later)

    async def run() -> None:
        async with running(services, shutdown) as client:
            batch = await created(client, jsonl([chat_line("a")]))
            await asyncio.wait_for(reached.wait(), WAIT_S)
            shutdown.begin()
            for _ in range(100):  # whatever else is about to end has ended then
                await asyncio.sleep(0)
            assert shutdown.is_awaited
            may_go_on.set()
            await until(lambda: not shutdown.is_awaited)
            assert (await fetched(client, f"/v1/batches/{batch['id']}"))["request_counts"]["completed"] == 1

    asyncio.run(run())


def test_what_passes_does_not_hold_the_end_up(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that is to be tried again is the next server's."""
    monkeypatch.setattr("phiserve.api.batches.asking.LONGEST_RETRY_S", 0.01)
    engine, shutdown = ScriptedEngine([Overloaded("full", retry_after_s=60)]), Shutdown()

    async def run() -> None:
        async with running(make_services(engine, state=tmp_path), shutdown) as client:
            batch = await created(client, jsonl([chat_line("a")]))
            await in_state(client, batch["id"], "in_progress")
            await until(lambda: bool(engine.generations))
            assert shutdown.is_awaited
            shutdown.begin()
            await until(lambda: not shutdown.is_awaited)
        async with running(make_services(ScriptedEngine(ANSWER), state=tmp_path)) as client:
            assert (await ended(client, batch["id"]))["request_counts"]["completed"] == 1

    asyncio.run(run())


def test_cancelled_at_another_server(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that works on it learns of it when it says that it does."""
    monkeypatch.setattr(module, "RENEW_S", 0.01)
    held = Held()
    working, other = make_services(held.engine, state=tmp_path), make_services(Held().engine, state=tmp_path)

    async def run() -> None:
        async with running(working) as client, running(other) as elsewhere:
            batch = await created(client, jsonl([chat_line("a")]))
            await in_state(client, batch["id"], "in_progress")
            response = await elsewhere.post(f"/v1/batches/{batch['id']}/cancel")
            assert response.json()["status"] == "cancelling"
            assert (await ended(client, batch["id"]))["status"] == "cancelled"

    asyncio.run(run())


def test_a_store_that_does_not_answer(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails is done again, by this server too; no line is lost."""
    monkeypatch.setattr(module, "RENEW_S", 0.01)
    services = make_services(ScriptedEngine(ANSWER), state=tmp_path)
    batches = services.batches
    assert batches is not None
    failing = [
        "claim",
        "remove_lines",
        "add_lines",
        "admit",
        "change",
        "unanswered",
        "save_results",
        "ended_lines",
        "finish",
    ]
    for name in failing:
        _fail_once(monkeypatch, batches, name)
    monkeypatch.setattr("phiserve.api.batches.saving.RETRY_S", 0.01)
    monkeypatch.setattr("phiserve.api.batches.asking.RETRY_S", 0.01)

    async def run() -> None:
        async with running(services) as client:
            batch = await created(client, jsonl([chat_line("a"), chat_line("b")]))
            batch = await ended(client, batch["id"])
            assert batch["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
            assert (await fetched(client, "/v1/batches"))["data"] == [batch]

    asyncio.run(run())


def _fail_once(monkeypatch: pytest.MonkeyPatch, batches: Any, name: str) -> None:
    """Have a call fail at first."""
    call, failures = getattr(batches, name), [StoreFailure("?")]

    async def fails(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return await call(*arguments)

    monkeypatch.setattr(batches, name, fails)
