"""Lines over which engines end: which are blamed for it, and how they are asked again."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from batching import chat_line, created, ended, jsonl, lines_in, outcome
from ending import Ending, killing, kills
from phiserve.api.batches import asking, ends
from phiserve.api.batches import running as module
from phiserve.api.services import Services
from phiserve.engine.interface import Delta, Generation
from phiserve.errors import EngineFailure
from phiserve.pipeline import Pipeline
from phiserve.protocol.batches.lines import group_of
from scripted import ScriptedEngine
from stateful import WAIT_S, running
from wire import ANSWER

MakeServices = Callable[..., Services]

pytestmark = pytest.mark.usefixtures("soon")


@pytest.mark.parametrize("is_late", [False, True])
def test_a_line_over_which_engines_end(make_services: MakeServices, tmp_path: Path, is_late: bool) -> None:
    """Whether before its first token or after it: it is asked beside others, by itself, and no more."""
    engine = Ending(is_late=is_late, beside=3)
    lines = [chat_line("a"), killing("poison"), chat_line("b")]

    async def run() -> None:
        async with running(make_services(engine, state=tmp_path)) as client:
            batch = await ended(client, (await created(client, jsonl(lines)))["id"])
            assert await outcome(client, batch) == (["a", "b"], ["poison"])
            (line,) = await lines_in(client, batch["error_file_id"])
            assert line["response"]["status_code"] == 500
            assert line["response"]["body"]["error"]["code"] == "engine_error"

    asyncio.run(run())
    assert [num_under_way for num_under_way, _ in engine.ends] == [3, 1]


@pytest.mark.usefixtures("one_by_one")
def test_ends_are_known_after_a_restart(make_services: MakeServices, tmp_path: Path) -> None:
    """The next server asks those that were under way at the end behind all others, and only once more."""
    first, second = Ending(stays_away=True), Ending()

    async def run() -> None:
        services = make_services(first, state=tmp_path)
        records = services.batches
        assert records is not None
        async with running(services) as client:
            batch = await created(client, jsonl([killing("poison"), chat_line("a")]))
            stored = await records.batch("", batch["id"])
            assert stored is not None

            async def poll() -> None:
                while not await records.suspects(stored, ("", 0), 9):
                    await asyncio.sleep(0.01)

            await asyncio.wait_for(poll(), WAIT_S)
        async with running(make_services(second, state=tmp_path)) as client:
            batch = await ended(client, batch["id"])
            assert await outcome(client, batch) == (["a"], ["poison"])

    asyncio.run(run())
    assert (first.asked[-1], second.asked) == (True, [*[False] * (2 - len(first.asked)), True])


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize("most", [1, 2])
def test_ends_of_a_batch_leave_the_server_alone(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """However many of its lines end engines, only so many do in ten minutes."""
    monkeypatch.setattr(ends, "PERIOD_S", 0.3)
    engine = Ending()
    lines = [chat_line("a"), *(killing(str(number)) for number in range(3))]

    async def run() -> None:
        services = make_services(engine, state=tmp_path, max_engine_restarts=most + 2)
        async with running(services) as client:
            batch = await ended(client, (await created(client, jsonl(lines)))["id"])
            assert batch["request_counts"] == {"total": 4, "completed": 1, "failed": 3}

    asyncio.run(run())
    times = [at for _, at in engine.ends]
    assert len(times) == 6
    assert all(later - at >= 0.3 for at, later in zip(times, times[most:], strict=False))


@pytest.mark.usefixtures("one_by_one")
def test_a_batch_that_ends_too_many_engines(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its suspects come before other lines then; if it is they that do it, nothing else of it is asked."""
    monkeypatch.setattr(asking, "MAX_FATAL", 2)
    engine = Ending()
    lines = [killing(str(number)) for number in range(6)]

    async def run() -> None:
        services = make_services(engine, state=tmp_path, max_engine_restarts=1000)
        async with running(services) as client:
            batch = await ended(client, (await created(client, jsonl(lines)))["id"])
            assert await outcome(client, batch) == ([], [str(number) for number in range(6)])
            errors = await lines_in(client, batch["error_file_id"])
            messages = [line["response"]["body"]["error"]["message"] for line in errors]
            assert sum(message.startswith("Not asked: ") for message in messages) == 4

    asyncio.run(run())
    assert len(engine.ends) == module.MAX_ENDS + 2


def test_a_batch_goes_on_between_such_lines(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where others are answered between them, as where somebody else ends engines."""
    monkeypatch.setattr(asking, "MAX_FATAL", 2)
    monkeypatch.setattr(module, "MAX_ENDS", 1)
    harmless = [chat_line(f"{n}", f"{n} " * 20) for n in range(40)]
    lines = in_turn(harmless, [killing(f"k{n}", n) for n in range(40)])[:8]
    assert len(lines) == 8
    good = sorted(line["custom_id"] for line in lines[::2])
    bad = sorted(line["custom_id"] for line in lines[1::2])

    async def run() -> None:
        services = make_services(Ending(), state=tmp_path, max_engine_restarts=1000)
        async with running(services) as client:
            batch = await ended(client, (await created(client, jsonl(lines)))["id"])
            answered, failed = await outcome(client, batch)
            assert (sorted(answered), sorted(failed)) == (good, bad)
            errors = await lines_in(client, batch["error_file_id"])
            messages = [line["response"]["body"]["error"]["message"] for line in errors]
            assert not [message for message in messages if message.startswith("Not asked: ")]

    asyncio.run(run())


def in_turn(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lines of two kinds that are asked in this order, one of each kind after the other."""
    chosen: list[dict[str, Any]] = []
    last = ""
    kinds = [sorted(lines, key=lambda line: group_of(line["body"])) for lines in (first, second)]
    while rest := [line for line in kinds[len(chosen) % 2] if group_of(line["body"]) > last]:
        chosen.append(rest[0])
        last = group_of(rest[0]["body"])
    return chosen


def test_a_suspect_waits_for_others(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While requests of others are under way, for a bounded time."""
    engine, looks = Ending(), list[int]()

    def is_idle(pipeline: Pipeline) -> bool:
        """Not at the first looks."""
        looks.append(len(engine.generations))
        return len(looks) > 3

    monkeypatch.setattr(Pipeline, "is_idle", property(is_idle))

    async def run(busy: bool) -> None:
        monkeypatch.setattr(asking, "QUIET_S", 0.05 if busy else WAIT_S)
        async with running(make_services(engine, state=tmp_path)) as client:
            await ended(client, (await created(client, jsonl([killing("a")])))["id"])

    asyncio.run(run(busy=False))
    assert (looks, len(engine.generations)) == ([1] * 4, 2)
    monkeypatch.setattr(Pipeline, "is_idle", False)
    asyncio.run(run(busy=True))
    assert len(engine.generations) == 4


def test_a_server_that_is_never_idle(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first suspect waits for that."""
    engine, looks = Ending(beside=3), list[int]()

    def is_idle(pipeline: Pipeline) -> bool:
        """Never; how many requests there have been."""
        looks.append(len(engine.generations))
        return False

    monkeypatch.setattr(Pipeline, "is_idle", property(is_idle))
    monkeypatch.setattr(asking, "QUIET_S", 0.3)
    monkeypatch.setattr(asking, "PAUSE_S", 0.1)
    services = make_services(engine, state=tmp_path, max_engine_restarts=1000)

    async def run() -> None:
        async with running(services) as client:
            lines = [killing("a"), chat_line("b"), chat_line("c")]
            batch = await ended(client, (await created(client, jsonl(lines)))["id"])
            assert await outcome(client, batch) == (["b", "c"], ["a"])

    asyncio.run(run())
    assert looks.count(3) >= 3  # all three were under way; the first of them is waiting
    assert looks.count(4) <= 1
    assert looks.count(5) <= 1


def test_an_engine_that_fails_and_goes_on(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its line is asked once more, and keeps nobody out: it waits for nothing, and nothing is counted."""
    engine = Failing()
    monkeypatch.setattr(Pipeline, "is_idle", property(lambda pipeline: pytest.fail("nobody has to be idle")))

    async def run() -> None:
        services = make_services(engine, state=tmp_path)
        async with running(services) as client:
            batch = await ended(client, (await created(client, jsonl([killing("a"), chat_line("b")])))["id"])
            assert await outcome(client, batch) == (["b"], ["a"])
            (error,) = await lines_in(client, batch["error_file_id"])
            assert error["response"]["status_code"] == 500

    asyncio.run(run())
    assert sum(map(kills, engine.generations)) == 2


class Failing(ScriptedEngine):
    """Fails at long prompts, and goes on."""

    async def generate(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        self.generations.append(generation)
        if kills(generation):
            raise EngineFailure("The engine failed on this request")
        for delta in ANSWER:
            yield delta
