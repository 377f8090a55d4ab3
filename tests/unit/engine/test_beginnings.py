"""Prompts wait for what they share with others, and for nothing else."""

import asyncio

import numpy as np
import pytest
from numpy.typing import NDArray

from phiserve.engine.beginnings import Beginnings, Turn
from phiserve.engine.interface import Admission, EngineLimits, Generation, PromptImage
from phiserve.errors import EngineFailure, EngineUnavailable
from phiserve.vision.sizes import CropPlan
from scripted import MortalEngine
from unit.engine.test_supervisor import supervised

SHORT, CHUNK = 1000, 20
LIMITS = EngineLimits(4096, running=64, unfinished=256, chunk_tokens=CHUNK, short_tokens=SHORT)
PLAN = CropPlan(1, 1, (336, 336), transposed=False)

Own = list[int | str]
"""What follows the shared beginning: ids, and keys of images."""


async def no_crops() -> NDArray[np.uint8]:
    raise AssertionError


class Prompts:
    """Prompts of one request, all asked at once, which share so many tokens."""

    def __init__(self, *own: Own, shared: int = CHUNK) -> None:
        beginnings = Beginnings(shared, LIMITS)
        self._turns = [self._turn(beginnings, shared, one) for one in own]
        self._tasks = [asyncio.ensure_future(turn(1)) for turn in self._turns]

    def _turn(self, beginnings: Beginnings, shared: int, own: Own) -> Turn:
        ids: list[int] = [0] * shared
        images = []
        for one in own:
            if isinstance(one, str):
                images.append(PromptImage(one, PLAN, len(ids), no_crops))
                ids += [-1] * PLAN.num_tokens
            else:
                ids.append(one)
        return beginnings.turn(ids, images)

    async def going(self) -> list[int]:
        """Those whose turn it is, or was."""
        for _ in range(3):
            await asyncio.sleep(0)
        return [number for number, task in enumerate(self._tasks) if task.done()]

    def end(self, *numbers: int) -> None:
        for number in numbers:
            self._turns[number].end()

    def send(self, number: int, engine: int) -> None:
        """Once more, to another engine."""
        self._tasks[number] = asyncio.ensure_future(self._turns[number](engine))


def test_a_long_beginning() -> None:
    """One goes first, then all others at once."""

    async def work() -> None:
        prompts = Prompts([1], [2], [3], shared=CHUNK + 1)
        assert await prompts.going() == [0]
        prompts.end(0)
        assert await prompts.going() == [0, 1, 2]

    asyncio.run(work())


def test_what_is_read_in_one_step() -> None:
    """Nobody waits: in that very step the others find it."""

    async def work() -> None:
        assert await Prompts([1], [2]).going() == [0, 1]
        assert await Prompts([1] * (CHUNK - 1), [1] * (CHUNK - 1)).going() == [0, 1]

    asyncio.run(work())


def test_an_image_of_several_prompts() -> None:
    """The first that shows it goes first, whatever follows; another image, or another text before, is new."""

    async def work() -> None:
        prompts = Prompts(["a", 1], ["a", 2], ["b", 1], ["a", "b"], [7, "a"], [8])
        assert await prompts.going() == [0, 2, 4, 5]
        prompts.end(0)
        assert await prompts.going() == [0, 1, 2, 3, 4, 5]

    asyncio.run(work())


def test_a_second_image_of_several_prompts() -> None:
    """Waits for the first one, then for one of those that share both."""

    async def work() -> None:
        prompts = Prompts(["a", "b", 1], ["a", "c"], ["a", "c", 2], ["a", "b", 2])
        assert await prompts.going() == [0]
        prompts.end(0)
        assert await prompts.going() == [0, 1, 3]
        prompts.end(1)
        assert await prompts.going() == [0, 1, 2, 3]

    asyncio.run(work())


def test_a_long_text_of_several_prompts() -> None:
    """As an image, from what one step reads."""

    async def work() -> None:
        long = [1] * CHUNK
        prompts = Prompts([*long, 2], [*long, 3], [*long, *long, 4], [2, *long])
        assert await prompts.going() == [0, 3]
        prompts.end(0)
        assert await prompts.going() == [0, 1, 2, 3]

    asyncio.run(work())


def test_prompts_of_other_factors() -> None:
    """Find nothing of the others: the first of the long ones goes beside the first of the short ones."""

    async def work() -> None:
        shared = SHORT - 1
        prompts = Prompts([1], [2], [3, 3], [4, 4], shared=shared)
        assert await prompts.going() == [0, 2]
        prompts.end(0)
        assert await prompts.going() == [0, 1, 2]
        prompts.end(2)
        assert await prompts.going() == [0, 1, 2, 3]

    asyncio.run(work())


def test_an_engine_that_ends() -> None:
    """The next one holds nothing: of those that had begun there, too, one goes first."""

    async def work() -> None:
        prompts = Prompts([1], [2], [3], shared=CHUNK + 1)
        await prompts.going()
        prompts.end(0)
        assert await prompts.going() == [0, 1, 2]
        prompts.end(1)
        for number in (2, 0):
            prompts.send(number, 2)
        assert await prompts.going() == [1, 2]
        prompts.end(1)  # what the ended engine has said last is of no use to the next one
        assert await prompts.going() == [1, 2]
        prompts.end(2)
        assert await prompts.going() == [0, 1, 2]

    asyncio.run(work())


def test_who_waits_while_an_engine_ends() -> None:
    """Is told that there is another, to be asked again there."""

    async def work() -> None:
        prompts = Prompts([1], [2], shared=CHUNK + 1)
        assert await prompts.going() == [0]
        prompts.send(0, 2)
        assert await prompts.going() == [0, 1]
        prompts.send(1, 2)
        assert await prompts.going() == [0]

    asyncio.run(work())


def test_an_engine_that_fails_and_goes_on() -> None:
    """Whom it fails on may be sent to it again."""

    async def work() -> None:
        prompts = Prompts([1], [2], shared=CHUNK + 1)
        assert await prompts.going() == [0]
        prompts.send(0, 1)
        assert await prompts.going() == [0]
        prompts.end(0)
        assert await prompts.going() == [0, 1]

    asyncio.run(work())


def test_a_request_whose_turn_comes_later() -> None:
    """Is asked with the engine's number, and again where another has come meanwhile; no send is lost."""

    async def work() -> None:
        first = MortalEngine()
        second = MortalEngine(steps=[EngineUnavailable("gone")])
        asked: list[int] = []

        async def turn(number: int) -> None:
            asked.append(number)
            if number == 1:
                first.end()
                while engines.health.state == "serving":
                    await asyncio.sleep(0)

        async with supervised(first, second) as engines:
            generation = Generation("id", [1], (), Admission(), 5, turn=turn)
            with pytest.raises(EngineFailure, match="ended 2 times over this request"):
                [delta async for delta in engines.generate(generation)]
        assert first.generations == []
        assert second.generations == [generation] * 2
        assert asked == [1, 2, 2]

    asyncio.run(asyncio.wait_for(work(), 20))
