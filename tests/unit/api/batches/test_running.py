"""A batch is answered in an order that shares work, whatever passes meanwhile, and each line once."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from batching import asked, chat_line, created, ended, jsonl, lines_in, outcome, uploaded
from images import data_url, encode, noise
from key_files import bearer, write_keys
from phiserve.api.batches import parts
from phiserve.api.batches import running as module
from phiserve.api.services import Services
from phiserve.engine.interface import Delta, Generation
from phiserve.errors import EngineFailure, EngineUnavailable, Overloaded
from phiserve.pipeline import Pipeline
from scripted import ScriptedEngine
from stateful import WAIT_S, Held, fetched, running
from wire import ANSWER

MakeServices = Callable[..., Services]

pytestmark = pytest.mark.usefixtures("soon")


@dataclass
class Faltering(ScriptedEngine):
    """Raises what `fails` says of each request, given those that run beside it, until that says nothing."""

    fails: Callable[[Generation, int], Exception | None] = lambda generation, beside: None
    running: int = 0
    most_running: int = 0

    async def generate(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            self.generations.append(generation)
            await asyncio.sleep(0)
            if (error := self.fails(generation, self.running)) is not None:
                raise error
            for delta in ANSWER:
                yield delta
        finally:
            self.running -= 1


def asking(custom_id: str, url: str) -> dict[str, Any]:
    """A line that asks about an image."""
    image = {"type": "image_url", "image_url": {"url": url, "detail": "low"}}
    return chat_line(custom_id, [{"type": "text", "text": f"What of {custom_id}?"}, image])


@pytest.mark.usefixtures("one_by_one")
def test_what_shares_an_image_comes_together(make_services: MakeServices, tmp_path: Path) -> None:
    """The engine sees each image's questions in a row; the output has the lines in the file's order."""
    engine = ScriptedEngine(ANSWER)
    urls = [data_url(encode(noise(30, 30, seed))) for seed in range(3)]
    lines = [asking(str(number), urls[number % 3]) for number in range(9)]

    async def run() -> None:
        async with running(make_services(engine, state=tmp_path)) as client:
            batch = await ended(client, (await created(client, jsonl(lines)))["id"])
            assert (await outcome(client, batch))[0] == [str(number) for number in range(9)]

    asyncio.run(run())
    keys = [generation.images[0].key for generation in engine.generations]
    assert [key for index, key in enumerate(keys) if index % 3 == 0] == [*dict.fromkeys(keys)]
    assert all(len({*keys[start : start + 3]}) == 1 for start in (0, 3, 6))


def test_what_passes_is_tried_again(make_services: MakeServices, tmp_path: Path) -> None:
    """No line is an error because the server was busy, or its engine was away."""
    errors: list[Exception] = [Overloaded("full"), EngineUnavailable("gone"), EngineUnavailable("gone")]
    engine = Faltering(fails=lambda generation, beside: errors.pop() if errors else None)

    async def run() -> None:
        async with running(make_services(engine, state=tmp_path)) as client:
            batch = await created(client, jsonl([chat_line(str(number)) for number in range(4)]))
            batch = await ended(client, batch["id"])
            assert batch["request_counts"] == {"total": 4, "completed": 4, "failed": 0}

    asyncio.run(run())
    assert len(engine.generations) == 4 + 3


def test_the_line_that_ends_engines(make_services: MakeServices, tmp_path: Path) -> None:
    """A failure takes those beside it along; each is tried once more by itself, and it alone is an error."""
    poison: list[Any] = []

    def fails(generation: Generation, beside: int) -> Exception | None:
        """All that run with the long prompt."""
        poison.append(len(generation.prompt_ids) > 100)
        return EngineFailure("The engine ended") if beside > 1 or poison[-1] else None

    engine = Faltering(fails=fails)
    lines = [chat_line("a"), chat_line("poison", "x " * 200), chat_line("b")]

    async def run() -> None:
        async with running(make_services(engine, state=tmp_path)) as client:
            batch = await ended(client, (await created(client, jsonl(lines)))["id"])
            assert batch["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
            assert await outcome(client, batch) == (["a", "b"], ["poison"])
            (line,) = await lines_in(client, batch["error_file_id"])
            assert line["response"]["status_code"] == 500

    asyncio.run(run())


@dataclass
class Stopping(ScriptedEngine):
    """Answers so many requests, and none after these."""

    num_answered: int = 0

    async def generate(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        self.generations.append(generation)
        if len(self.generations) > self.num_answered:
            await asyncio.Event().wait()
        for delta in ANSWER:
            yield delta


async def stopped(services: Services, num_lines: int, num_answered: int) -> str:
    """The id of a batch of so many lines, of which the server has ended when so many were answered."""
    async with running(services) as client:
        batch = await created(client, jsonl([chat_line(str(number)) for number in range(num_lines)]))

        async def poll() -> None:
            while batch["request_counts"]["completed"] < num_answered:
                batch.update(await fetched(client, f"/v1/batches/{batch['id']}"))

        await asyncio.wait_for(poll(), WAIT_S)
    batch_id: str = batch["id"]
    return batch_id


@pytest.mark.usefixtures("one_by_one")
def test_out_of_time(make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was answered is given out; the rest is said to be too late."""

    async def run() -> None:
        services = make_services(Stopping(num_answered=1), state=tmp_path)
        batch_id = await stopped(services, 2, 1)
        tomorrow = time.time() + 90_000
        monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: tomorrow))
        async with running(make_services(Stopping(), state=tmp_path)) as client:
            batch = await ended(client, batch_id)
            assert (batch["status"], batch["completed_at"]) == ("expired", None)
            assert batch["expired_at"] >= batch["finalizing_at"]
            assert batch["request_counts"] == {"total": 2, "completed": 1, "failed": 0}
            assert await outcome(client, batch) == (["0"], ["1"])
            (line,) = await lines_in(client, batch["error_file_id"])
            assert (line["response"], line["error"]["code"]) == (None, "batch_expired")
            files = (await fetched(client, "/v1/files", purpose="batch_output"))["data"]
            names = {file["filename"] for file in files}
            assert names == {f"{batch_id}_output.jsonl", f"{batch_id}_error.jsonl"}

    asyncio.run(run())


@pytest.mark.usefixtures("one_by_one")
def test_a_restart_in_the_middle(make_services: MakeServices, tmp_path: Path) -> None:
    """The server that comes after answers what is left, and gives out all."""
    engine = ScriptedEngine(ANSWER)

    async def run() -> None:
        batch_id = await stopped(make_services(Stopping(num_answered=2), state=tmp_path), 5, 2)
        async with running(make_services(engine, state=tmp_path)) as client:
            batch = await ended(client, batch_id)
            assert batch["request_counts"] == {"total": 5, "completed": 5, "failed": 0}
            assert (await outcome(client, batch))[0] == [str(number) for number in range(5)]

    asyncio.run(run())
    assert len(engine.generations) == 3


def test_another_server_s(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once another has taken over, what this one was answering is not stored, and nothing of it given out."""
    held = Held()
    services = make_services(held.engine, state=tmp_path)
    batches, told = services.batches, asyncio.Event()
    assert batches is not None
    save = batches.save_results

    async def save_and_tell(*arguments: Any) -> bool:
        assert not await save(*arguments)
        told.set()
        return False

    monkeypatch.setattr(batches, "save_results", save_and_tell)

    async def run() -> None:
        async with running(services) as client:
            batch = await created(client, jsonl([chat_line("a"), chat_line("b")]))
            await asyncio.wait_for(held.reached.wait(), WAIT_S)
            taken = await batches.claim("other", "in_progress", ["m"], (), -1)
            assert taken is not None
            held.may_go_on.set()
            await asyncio.wait_for(told.wait(), WAIT_S)
            batch = await fetched(client, f"/v1/batches/{batch['id']}")
            assert (batch["status"], batch["request_counts"]["completed"]) == ("in_progress", 0)

    asyncio.run(run())


def test_room_for_those_that_wait(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No line begins while requests that somebody waits for wait to run."""
    engine = ScriptedEngine(ANSWER)
    looks: list[int] = []

    def waits(pipeline: Pipeline) -> bool:
        """At the first looks."""
        looks.append(len(engine.generations))
        return len(looks) <= 3

    monkeypatch.setattr(Pipeline, "interactive_waits", property(waits))

    async def run() -> None:
        async with running(make_services(engine, state=tmp_path)) as client:
            await ended(client, (await created(client, jsonl([chat_line("a")])))["id"])

    asyncio.run(run())
    assert len(looks) > 3
    assert {*looks} == {0}
    assert len(engine.generations) == 1


def test_memory_for_few_large_lines(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines that are large together are not in memory at once, whoever's batches they are of; one that is so
    by itself is answered.
    """
    monkeypatch.setattr(parts, "MAX_BYTES_AT_ONCE", 100)
    keys = write_keys(tmp_path / "keys.yaml", alice={}, bob={})
    engine = Faltering()
    lines = jsonl([chat_line(str(number)) for number in range(4)])

    async def run() -> None:
        async with running(make_services(engine, state=tmp_path, keys_file=str(keys))) as client:
            ids = {}
            for owner in ("alice", "bob"):
                file_id = await uploaded(client, lines, headers=bearer(owner))
                ids[owner] = (await asked(client, file_id, bearer(owner))).json()["id"]
            for owner, batch_id in ids.items():
                batch = await ended(client, batch_id, bearer(owner))
                assert batch["request_counts"]["completed"] == 4

    asyncio.run(run())
    assert engine.most_running == 1
