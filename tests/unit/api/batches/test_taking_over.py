"""What a server that was killed or held up leaves behind: another goes on, and the first has no more say."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from batching import changed_in_store, chat_line, created, ended, in_state, jsonl, outcome
from phiserve.api.batches import tending as module
from phiserve.api.services import Services
from scripted import ScriptedEngine
from stateful import WAIT_S, Held, fetched, running
from wire import ANSWER

MakeServices = Callable[..., Services]
Call = Callable[..., Awaitable[Any]]
IDS = ["a", "b", "c"]
LINES = jsonl([chat_line(custom_id) for custom_id in IDS])


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is due is seen soon."""
    monkeypatch.setattr(module, "RENEW_S", 0.01)


async def never(*_arguments: Any) -> None:
    """What a call of a server that is killed over it comes to."""
    await asyncio.Event().wait()


async def killed(state: Path, batch_id: str) -> None:
    """Its server is gone, and has not said for a while that it works on it."""
    await changed_in_store(state, batch_id, runner="killed", renewed_at=0)


def test_killed_while_it_reads(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next server reads the input from its beginning; no line is there twice."""
    engine = ScriptedEngine(ANSWER)

    async def run() -> None:
        services = make_services(ScriptedEngine(ANSWER), state=tmp_path)
        assert services.batches is not None
        monkeypatch.setattr(services.batches, "admit", never)
        async with running(services) as client:
            batch = await created(client, LINES)
            stored = await services.batches.batch("", batch["id"])
            assert stored is not None
            async with asyncio.timeout(WAIT_S):
                while await services.batches.count_lines(stored) < len(IDS):
                    await asyncio.sleep(0.01)
        await killed(tmp_path, batch["id"])
        async with running(make_services(engine, state=tmp_path)) as client:
            assert (await fetched(client, f"/v1/batches/{batch['id']}"))["in_progress_at"] is None
            batch = await ended(client, batch["id"])
            assert batch["request_counts"] == {"total": 3, "completed": 3, "failed": 0}
            assert await outcome(client, batch) == (IDS, [])

    asyncio.run(run())
    assert len(engine.generations) == len(IDS)


def test_killed_while_it_writes(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next server writes the files of what was answered, once; nothing is answered anew."""
    engine = ScriptedEngine(ANSWER)

    async def run() -> None:
        services = make_services(ScriptedEngine(ANSWER), state=tmp_path)
        monkeypatch.setattr(services.batches, "finish", never)
        async with running(services) as client:
            batch = await created(client, LINES)
            await in_state(client, batch["id"], "finalizing")
        await killed(tmp_path, batch["id"])
        async with running(make_services(engine, state=tmp_path)) as client:
            batch = await ended(client, batch["id"])
            assert batch["status"] == "completed"
            assert batch["request_counts"] == {"total": 3, "completed": 3, "failed": 0}
            assert await outcome(client, batch) == (IDS, [])
            files = (await fetched(client, "/v1/files", purpose="batch_output"))["data"]
            assert [file["id"] for file in files] == [batch["output_file_id"]]

    asyncio.run(run())
    assert engine.generations == []


class Hold:
    """A server that is held up in one of its calls, and does nothing else until that is over."""

    def __init__(self) -> None:
        self.reached, self.may_go_on, self.over = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def up(self, call: Call) -> Call:
        """The call in which it is held up."""

        async def held_up(*arguments: Any) -> Any:
            self.reached.set()
            await self.may_go_on.wait()
            try:
                return await call(*arguments)
            finally:
                self.over.set()

        return held_up

    def until_over(self, call: Call) -> Call:
        """A call that it would make meanwhile."""

        async def later(*arguments: Any) -> Any:
            await self.over.wait()
            return await call(*arguments)

        return later


@pytest.mark.parametrize("where", ["remove_lines", "add_lines", "admit"])
def test_held_up_beyond_its_time(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A server that goes on where it stood, while another answers the batch, changes nothing of it."""
    held, hold = Held(), Hold()
    stopped, other = (
        make_services(ScriptedEngine([]), state=tmp_path),
        make_services(held.engine, state=tmp_path),
    )
    batches: Any = stopped.batches
    monkeypatch.setattr(batches, where, hold.up(getattr(batches, where)))
    monkeypatch.setattr(batches, "renew", hold.until_over(batches.renew))

    async def run() -> None:
        async with running(stopped) as client:
            batch = await created(client, LINES)
            await asyncio.wait_for(hold.reached.wait(), WAIT_S)
            await changed_in_store(tmp_path, batch["id"], renewed_at=0)
            async with running(other):
                await in_state(client, batch["id"], "in_progress")
                await asyncio.wait_for(held.reached.wait(), WAIT_S)
                hold.may_go_on.set()
                await asyncio.wait_for(hold.over.wait(), WAIT_S)
                stored = await batches.batch("", batch["id"])
                lines = await batches.unanswered(stored, ("", 0), 10)
                assert {line.custom_id for line in lines} == {*IDS}
                held.may_go_on.set()
                batch = await ended(client, batch["id"])
                assert batch["request_counts"] == {"total": 3, "completed": 3, "failed": 0}
                assert await outcome(client, batch) == (IDS, [])

    asyncio.run(run())
    assert len(held.engine.generations) == len(IDS)
