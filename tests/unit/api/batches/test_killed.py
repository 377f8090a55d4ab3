"""Lines over which servers are killed, with no answer between: they are found out, and blamed."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from batching import changed_in_store, chat_line, created, ended, jsonl, lines_in, outcome
from ending import killing, kills
from phiserve.api.services import Services
from phiserve.engine.interface import Delta, Generation
from scripted import ScriptedEngine
from stateful import WAIT_S, running
from wire import ANSWER

MakeServices = Callable[..., Services]

pytestmark = pytest.mark.usefixtures("soon")


@dataclass
class Hanging(ScriptedEngine):
    """Never answers long prompts, or any: what a server is about when it is killed over them."""

    answers: bool = True
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    num_under_way: int = 0
    most_under_way: int = 0

    async def generate(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        self.generations.append(generation)
        self.num_under_way += 1
        self.most_under_way = max(self.most_under_way, self.num_under_way)
        if kills(generation):
            self.reached.set()
        if kills(generation) or not self.answers:
            await asyncio.Event().wait()
        for delta in ANSWER:
            yield delta
        self.num_under_way -= 1


def test_a_line_over_which_servers_are_killed(make_services: MakeServices, tmp_path: Path) -> None:
    """It is found out, though nothing is answered beside it; it is blamed twice, and asked no more."""
    engines = [Hanging(answers=number >= 2) for number in range(5)]
    lines = [killing("poison"), *(chat_line(str(number)) for number in range(3))]
    batch_id = ""

    async def answer(engine: Hanging) -> None:
        """Until the server is killed over it."""
        nonlocal batch_id
        async with running(make_services(engine, state=tmp_path)) as client:
            batch_id = batch_id or (await created(client, jsonl(lines)))["id"]
            await asyncio.wait_for(engine.reached.wait(), WAIT_S)
        await changed_in_store(tmp_path, batch_id, runner="killed", renewed_at=0)

    async def run() -> None:
        for engine in engines[:-1]:
            await answer(engine)
        async with running(make_services(engines[-1], state=tmp_path)) as client:
            batch = await ended(client, batch_id)
            assert await outcome(client, batch) == (["0", "1", "2"], ["poison"])
            (error,) = await lines_in(client, batch["error_file_id"])
            assert "ended 2 times" in error["response"]["body"]["error"]["message"]

    asyncio.run(run())
    assert engines[2].most_under_way == 1
    assert [sum(map(kills, engine.generations)) for engine in engines] == [1, 1, 1, 1, 0]
    assert kills(engines[3].generations[-1])


def test_a_server_that_ends_is_not_killed(make_services: MakeServices, tmp_path: Path) -> None:
    """Whoever gives the batch back blames no line for that, however often."""
    engine = Hanging()

    async def run() -> None:
        services = make_services(engine, state=tmp_path)
        async with running(services) as client:
            batch = await created(client, jsonl([killing("a")]))
            await asyncio.wait_for(engine.reached.wait(), WAIT_S)
        await changed_in_store(tmp_path, batch["id"], runner="killed", renewed_at=0)
        for _ in range(4):
            engine.reached.clear()
            async with running(make_services(engine, state=tmp_path)):
                await asyncio.wait_for(engine.reached.wait(), WAIT_S)
        async with running(make_services(ScriptedEngine(ANSWER), state=tmp_path)) as client:
            assert await outcome(client, await ended(client, batch["id"])) == (["a"], [])

    asyncio.run(run())
