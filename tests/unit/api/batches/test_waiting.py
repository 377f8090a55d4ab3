"""Batches that are not answered yet, or by nobody here, are validated, cancelled and expire all the same."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from batching import (
    PATH,
    asked,
    changed_in_store,
    chat_line,
    created,
    ended,
    in_state,
    jsonl,
    lines_in,
    outcome,
    uploaded,
)
from key_files import bearer, write_keys
from phiserve.api.batches import tending as module
from phiserve.api.services import Services
from phiserve.store.batch_records import BatchRecords
from scripted import ScriptedEngine
from stateful import WAIT_S, Held, fetched, running, until
from wire import ANSWER

MakeServices = Callable[..., Services]
LINES = jsonl([chat_line("a"), chat_line("b")])


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is due is seen soon."""
    monkeypatch.setattr(module, "RENEW_S", 0.01)


@asynccontextmanager
async def busy(services: Services, held: Held) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that answers a batch of the only owner, and still does in the end."""
    async with running(services) as client:
        first = await created(client, LINES)
        await asyncio.wait_for(held.reached.wait(), WAIT_S)
        yield client
        assert (await fetched(client, f"{PATH}/{first['id']}"))["request_counts"]["completed"] == 0
        held.may_go_on.set()
        assert (await ended(client, first["id"]))["status"] == "completed"


def test_it_is_cancelled(make_services: MakeServices, tmp_path: Path) -> None:
    """Before its turn comes: its lines are known, and none of them is answered."""
    held = Held()

    async def run() -> None:
        async with busy(make_services(held.engine, state=tmp_path), held) as client:
            batch = await created(client, LINES)
            batch = await in_state(client, batch["id"], "in_progress")
            assert batch["request_counts"] == {"total": 2, "completed": 0, "failed": 0}
            await client.post(f"{PATH}/{batch['id']}/cancel")
            batch = await ended(client, batch["id"])
            assert batch["status"] == "cancelled"
            assert await outcome(client, batch) == ([], ["a", "b"])

    asyncio.run(run())
    assert len(held.engine.generations) == 2


def test_it_expires(make_services: MakeServices, tmp_path: Path) -> None:
    """When its time is over, whoever is answered then."""
    held = Held()
    services = make_services(held.engine, state=tmp_path)

    async def run() -> None:
        async with busy(services, held) as client:
            batch = await created(client, LINES)
            await in_state(client, batch["id"], "in_progress")
            await changed_in_store(tmp_path, batch["id"], expires_at=batch["created_at"])
            batch = await ended(client, batch["id"])
            assert (batch["status"], batch["request_counts"]["total"]) == ("expired", 2)
            errors = await lines_in(client, batch["error_file_id"])
            assert [line["error"]["code"] for line in errors] == ["batch_expired"] * 2

    asyncio.run(run())
    assert len(held.engine.generations) == 2


def test_it_fails(make_services: MakeServices, tmp_path: Path) -> None:
    """A mistake is told at once, and so is that the owner's batches have too many lines together."""
    held = Held()
    limits = {"batch_max_lines": 2, "batch_max_lines_per_owner": 5}

    async def run() -> None:
        async with busy(make_services(held.engine, state=tmp_path, **limits), held) as client:
            wrong = await ended(client, (await created(client, b"no\n"))["id"])
            assert [error["code"] for error in wrong["errors"]["data"]] == ["invalid_json_line"]
            fits = await created(client, LINES)
            await in_state(client, fits["id"], "in_progress")
            too_much = await ended(client, (await created(client, LINES))["id"])
            assert [error["code"] for error in too_much["errors"]["data"]] == ["batch_limit_exceeded"]
            assert too_much["request_counts"]["total"] == 0
            await client.post(f"{PATH}/{fits['id']}/cancel")
            await ended(client, fits["id"])
            fits = await created(client, LINES)
            await in_state(client, fits["id"], "in_progress")

    asyncio.run(run())


def test_a_model_that_nobody_serves(make_services: MakeServices, tmp_path: Path) -> None:
    """Its batches end too, with their files, at servers of other models; none is answered there."""
    held = Held()
    engine = ScriptedEngine(ANSWER)

    async def run() -> None:
        services = make_services(held.engine, state=tmp_path)
        async with running(services) as client:
            ids = [(await created(client, LINES))["id"] for _ in range(3)]
            for batch_id in ids:
                await in_state(client, batch_id, "in_progress")
        for batch_id in ids:
            await changed_in_store(tmp_path, batch_id, model="gone")
        await changed_in_store(tmp_path, ids[2], status="validating")
        other = make_services(engine, state=tmp_path)
        async with running(other) as client:
            assert (await ended(client, (await created(client, LINES))["id"]))["status"] == "completed"
            await client.post(f"{PATH}/{ids[0]}/cancel")
            for batch_id in ids[1:]:
                assert (await fetched(client, f"{PATH}/{batch_id}"))["status"] in (
                    "in_progress",
                    "validating",
                )
                await changed_in_store(tmp_path, batch_id, expires_at=0)
            for batch_id, status in zip(ids, ("cancelled", "expired", "expired"), strict=True):
                batch = await ended(client, batch_id)
                assert batch["status"] == status
                assert await outcome(client, batch) == ([], ["a", "b"])
            assert other.batches is not None
            page = await other.batches.page("", None, 10)
            assert page is not None
            assert {batch.blob for batch in page.batches} == {""}

    asyncio.run(run())
    assert len(engine.generations) == 2


def test_it_is_told_that_nobody_serves_a_model(
    make_services: MakeServices,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once by the log, and by a metric for as long as it is so."""
    monkeypatch.setattr(module, "OTHERS_S", 0)

    def told() -> float:
        (family,) = module.OF_OTHERS.collect()
        return family.samples[0].value

    async def run() -> None:
        services = make_services(ScriptedEngine(ANSWER), state=tmp_path)
        async with running(services) as client:
            with monkeypatch.context() as nothing_begins:
                nothing_begins.setattr(module, "AT_ONCE", dict.fromkeys(module.AT_ONCE, 0))
                ids = [(await created(client, LINES))["id"] for _ in range(2)]
                for batch_id in ids:
                    await changed_in_store(tmp_path, batch_id, model="gone")
            await until(lambda: told() == 2)
            await client.post(f"{PATH}/{ids[0]}/cancel")
            await until(lambda: told() == 1)
            await client.post(f"{PATH}/{ids[1]}/cancel")
            await until(lambda: told() == 0)

    asyncio.run(run())
    assert caplog.text.count("wait for the model 'gone'") == 1


def test_out_of_time_before_it_is_validated(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has expired, not completed; no line of it is known."""

    async def run() -> None:
        services = make_services(ScriptedEngine(ANSWER), state=tmp_path)
        async with running(services) as client:
            with monkeypatch.context() as nothing_begins:
                nothing_begins.setattr(module, "AT_ONCE", dict.fromkeys(module.AT_ONCE, 0))
                batch = await created(client, LINES)
                await changed_in_store(tmp_path, batch["id"], expires_at=0)
            batch = await ended(client, batch["id"])
            assert (batch["status"], batch["completed_at"]) == ("expired", None)
            assert batch["request_counts"]["total"] == 0
            assert await outcome(client, batch) == ([], [])

    asyncio.run(run())


def test_few_are_validated_at_once(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of each owner, of two at most; the others can be cancelled meanwhile."""
    keys = write_keys(tmp_path / "keys.yaml", alice={}, bob={}, carol={})
    services = make_services(ScriptedEngine(ANSWER), state=tmp_path, keys_file=str(keys))
    may_go_on, reading, add = asyncio.Event(), [], BatchRecords.add_lines

    async def hold(records: BatchRecords, batch: Any, *arguments: Any) -> bool:
        reading.append(batch.owner)
        await may_go_on.wait()
        return await add(records, batch, *arguments)

    monkeypatch.setattr(BatchRecords, "add_lines", hold)

    async def run() -> None:
        async with running(services) as client:
            ids = []
            for owner in ("alice", "alice", "bob", "carol"):
                file_id = await uploaded(client, LINES, headers=bearer(owner))
                ids.append((await asked(client, file_id, bearer(owner))).json()["id"])
            await until(lambda: len(reading) == 2)
            await client.post(f"{PATH}/{ids[1]}/cancel", headers=bearer("alice"))
            assert (await ended(client, ids[1], bearer("alice")))["status"] == "cancelled"
            assert reading == ["alice", "bob"]
            may_go_on.set()
            for batch_id, owner in ((ids[0], "alice"), (ids[2], "bob"), (ids[3], "carol")):
                assert (await ended(client, batch_id, bearer(owner)))["status"] == "completed"

    asyncio.run(run())


def test_owners_before_their_second(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only one batch is worked on at once, another owner's comes before an older one of the last's."""
    keys = write_keys(tmp_path / "keys.yaml", alice={}, bob={})
    engine = ScriptedEngine(ANSWER)
    services = make_services(engine, state=tmp_path, keys_file=str(keys))
    owners = ("alice", "alice", "bob")

    async def run() -> None:
        async with running(services) as client:
            with monkeypatch.context() as nothing_begins:
                nothing_begins.setattr(module, "AT_ONCE", dict.fromkeys(module.AT_ONCE, 0))
                ids = []
                for owner in owners:
                    file_id = await uploaded(client, jsonl([chat_line("a")]), headers=bearer(owner))
                    ids.append((await asked(client, file_id, bearer(owner))).json()["id"])
            monkeypatch.setattr(module, "AT_ONCE", dict.fromkeys(module.AT_ONCE, 1))
            for batch_id, owner in zip(ids, owners, strict=True):
                await ended(client, batch_id, bearer(owner))

    asyncio.run(run())
    assert [generation.line[1] for generation in engine.generations] == ["alice", "bob", "alice"]
