"""Several prompts, answered as one request."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from phiserve.answer import Answer
from phiserve.api.several_prompts import Answers, merged
from phiserve.chat.vocabulary import Vocabulary
from phiserve.core import TokenCounts
from phiserve.engine.interface import Delta
from phiserve.errors import EngineFailure
from scripted import delta


class Source:
    """Deltas that come when they are put in; an exception is raised, None ends them."""

    def __init__(self) -> None:
        self.items: asyncio.Queue[Delta | Exception | None] = asyncio.Queue()
        self.has_begun = self.is_closed = False

    async def deltas(self) -> AsyncGenerator[Delta, None]:
        """What was put in."""
        self.has_begun = True
        try:
            while (item := await self.items.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.is_closed = True


def test_deltas_come_as_they_are_there() -> None:
    """None waits for another prompt's, and choices are numbered through."""

    async def check() -> None:
        first, second = Source(), Source()
        together = merged([first.deltas(), second.deltas()], 2)
        second.items.put_nowait(delta("b", index=1))
        assert (await anext(together)).index == 3
        first.items.put_nowait(delta("a"))
        assert (await anext(together)).index == 0
        second.items.put_nowait(None)
        first.items.put_nowait(delta("c", index=1))
        assert (await anext(together)).index == 1
        first.items.put_nowait(None)
        assert [item async for item in together] == []

    asyncio.run(check())


def test_one_failure_ends_all() -> None:
    """It is raised, and nothing is left running."""

    async def check() -> None:
        first, second = Source(), Source()
        first.items.put_nowait(EngineFailure("x"))
        with pytest.raises(EngineFailure):
            await anext(merged([first.deltas(), second.deltas()], 1))
        assert first.is_closed
        assert second.is_closed

    asyncio.run(check())


@pytest.mark.parametrize("has_brought", [False, True])
def test_closing_ends_all(has_brought: bool) -> None:
    """Those that have brought something, and those that are waited for."""

    async def check() -> None:
        sources = [Source(), Source(), Source()]
        together = merged([source.deltas() for source in sources], 1)
        if has_brought:
            for source in sources[:2]:
                source.items.put_nowait(delta("a"))
            await anext(together)
            await together.aclose()
        else:
            waiting = asyncio.ensure_future(anext(together))
            while not all(source.has_begun for source in sources):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        assert [source.is_closed for source in sources] == [True] * 3

    asyncio.run(check())


def test_counts_are_the_sum(vocabulary: Vocabulary) -> None:
    """Each prompt counts once, and each of its choices."""
    answers = Answers(tuple(Answer(ids, 0, vocabulary) for ids in ([1, 5], [1, 5, 6])), 2)
    assert answers.began_at is None
    for index in range(4):
        visible = answers.feed(Delta(index, " a", (7, 8), None, None, cached_tokens=2))
        assert visible.index == index
    assert answers.counts() == TokenCounts(prompt=5, completion=8, cached=4, image=0)
    assert [answers.prompt_ids(index) for index in range(4)] == [[1, 5]] * 2 + [[1, 5, 6]] * 2
    assert answers.began_at is not None
