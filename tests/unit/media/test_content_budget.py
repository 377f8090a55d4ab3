"""Contents that were fetched for requests are counted for as long as anybody holds them."""

import asyncio
from threading import Thread
from typing import Any

import pytest

from phiserve.errors import Overloaded
from phiserve.media import content_budget
from phiserve.media.content_budget import SHORT_BYTES, ContentBudget, ContentShare
from phiserve.turns import NOBODY, Line, may_hold

ALICE, BOB = Line(0, "alice"), Line(0, "bob")


def test_one_content_always_fits() -> None:
    """Of the largest size that a request may name, however small the budget is set."""
    budget = ContentBudget(10, 900)
    share = ContentShare(budget)
    share.add(900)
    with pytest.raises(Overloaded, match="too many files"):
        ContentShare(budget).add(900)
    del share
    ContentShare(budget).add(900)


def test_nobody_has_it_all() -> None:
    """Something stays for another owner; what one is refused is not counted."""
    budget = ContentBudget(900)
    shares = [ContentShare(budget, line) for line in (ALICE, ALICE, BOB)]
    shares[0].add(700)
    for more in (101, 10_000):
        with pytest.raises(Overloaded):
            shares[1].add(more)
    shares[1].add(100)
    shares[2].add(30)
    assert budget.held_bytes == 830
    shares.clear()
    assert budget.held_bytes == 0


@pytest.mark.parametrize("size", [0, 5, SHORT_BYTES + 1])
def test_as_long_as_it_is_held(size: int) -> None:
    """By whomever; what is cut out of it is another content."""
    budget, content = ContentBudget(10**7), b"x" * size

    async def run() -> bytes:
        share = ContentShare(budget)
        share.add(size)
        return await share.held(content)

    held = asyncio.run(run())
    assert held == content
    assert hash(held) == hash(content)
    assert budget.held_bytes == size
    cut, also = held[1:], held
    del held
    assert budget.held_bytes == size
    del also
    assert budget.held_bytes == 0
    assert cut == content[1:]


def test_what_never_came() -> None:
    """Is let go of at once, though its share is held; what came is not."""
    budget = ContentBudget(1000)

    share = ContentShare(budget)

    def break_off() -> None:
        with share.fetching():
            share.add(300)
            share.add(200)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        break_off()
    assert budget.held_bytes == 0
    with share.fetching():
        share.add(800)
    assert budget.held_bytes == 800


def test_gone_while_another_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where garbage is collected in the middle of it: nobody waits for himself."""
    budget = ContentBudget(1000)
    shares = [ContentShare(budget)]
    shares[0].add(500)

    def collected(*arguments: Any) -> bool:
        shares.clear()
        return may_hold(*arguments)

    monkeypatch.setattr(content_budget, "may_hold", collected)
    with pytest.raises(Overloaded):
        budget.hold(NOBODY, 600)  # what is gone is counted next time
    budget.hold(NOBODY, 600)
    assert budget.held_bytes == 600


def test_from_any_thread() -> None:
    """No byte is counted twice, or forgotten."""
    budget = ContentBudget(10**9)

    def use() -> None:
        for _ in range(300):
            share = ContentShare(budget, NOBODY)
            share.add(7)
            del share

    threads = [Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.held_bytes == 0
