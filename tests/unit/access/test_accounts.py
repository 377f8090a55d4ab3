"""A key's limits and its owner's hold together."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from key_files import limit_owners, secret_of, write_two_keys
from phiserve.access.accounts import RequestAccounts
from phiserve.access.budgets import Budgets
from phiserve.access.gate import Gate
from phiserve.access.key import Account, Key, Limits, Unit
from phiserve.access.keyring import Keyring
from phiserve.access.visit import KeyVisit
from phiserve.core import ImagePlaceholder, TokenCounts
from phiserve.errors import EngineEnded, EngineUnavailable, InvalidRequest, RateLimitReached, RequestError

if TYPE_CHECKING:
    from unit.access.conftest import RedisServer

Visiting = Callable[[KeyVisit], Awaitable[None]]
Enter = Callable[[Key], AbstractAsyncContextManager[KeyVisit]]


def gate_of(
    folder: Path, url: str | None = None, first: dict[str, object] | None = None, **limits: object
) -> tuple[Gate, Key, Key]:
    """A gate that knows two keys of an owner with these limits; the first may have some of its own."""
    file = limit_owners(write_two_keys(folder / "k", "al/ice", first or {}, {}), **{"al/ice": limits})
    gate = Gate(Keyring(None, file), Budgets(url))
    keys = [gate.key_of(secret_of(name).encode()) for name in ("first", "second")]
    assert keys[0] is not None
    assert keys[1] is not None
    return gate, keys[0], keys[1]


async def visit_with(gate: Gate, key: Key, prompt: int = 1, completion: int = 0) -> KeyVisit:
    """A visit to its end."""
    async with gate.enter(key) as visit:
        await visit.begin()
        await visit.take_prompt(prompt, "input")
        visit.answering(lambda: TokenCounts(prompt, completion, 0, 0))
    return visit


async def show_shared_budget(gate: Gate, first: Key, second: Key) -> None:
    """Two keys, one budget of three requests."""
    assert (await visit_with(gate, first)).headers()["x-ratelimit-remaining-requests"] == "2"
    assert (await visit_with(gate, second)).headers()["x-ratelimit-remaining-requests"] == "1"
    await visit_with(gate, first)
    for key in (first, second):
        with pytest.raises(RateLimitReached, match="the owner's limit is 3 per minute") as caught:
            await visit_with(gate, key)
        assert 50 < caught.value.retry_after_s <= 60
    await gate.close()


def test_keys_share_their_owners_budget(tmp_path: Path) -> None:
    """A second key adds nothing to it."""
    asyncio.run(show_shared_budget(*gate_of(tmp_path, requests_per_minute=3)))


def test_keys_share_their_owners_budget_in_redis(tmp_path: Path, redis: "RedisServer") -> None:
    """The same, for all servers together."""
    asyncio.run(show_shared_budget(*gate_of(tmp_path, redis.url, requests_per_minute=3)))


def test_the_tighter_limit_is_told(tmp_path: Path) -> None:
    """The one of which less is left, not the smaller number: here first the key's, then the owner's."""
    gate, first, second = gate_of(tmp_path, first={"requests_per_minute": 3}, requests_per_minute=4)

    async def run() -> None:
        told = []
        for key in (first, second, second, first):
            headers = (await visit_with(gate, key)).headers()
            told.append(tuple(headers[f"x-ratelimit-{what}-requests"] for what in ("limit", "remaining")))
        assert told == [("3", "2"), ("4", "2"), ("4", "1"), ("4", "0")]

    asyncio.run(run())


def test_what_one_refuses_uses_nothing_of_the_other(tmp_path: Path) -> None:
    """Neither the key's budget nor the owner's, whichever is the tighter; an image or a token more is counted
    as well as a whole prompt.
    """
    gate, first, second = gate_of(
        tmp_path,
        first={"tokens_per_minute": 50, "requests_per_minute": 2},
        tokens_per_minute=100,
        requests_per_minute=3,
    )

    async def run() -> None:
        await visit_with(gate, first, 30)
        with pytest.raises(RateLimitReached, match="the key's limit is 50 per minute, of which 20 are left"):
            await visit_with(gate, first, 30)
        with pytest.raises(RateLimitReached, match="requests: the key's limit"):
            await visit_with(gate, first, 1)
        visit = await visit_with(gate, second, 70)  # all of the rest: the refused ones took nothing
        headers = visit.headers()
        assert headers["x-ratelimit-remaining-tokens"] == "0"
        assert headers["x-ratelimit-remaining-requests"] == "0"

    asyncio.run(run())


def test_answers_are_charged_to_both(tmp_path: Path) -> None:
    """What one key writes, the other can't."""
    gate, first, second = gate_of(tmp_path, first={"tokens_per_minute": 1000}, tokens_per_minute=100)

    async def run() -> None:
        await visit_with(gate, first, 10, completion=500)
        with pytest.raises(
            RateLimitReached, match="the owner's limit is 100 per minute, of which 0 are left"
        ):
            await visit_with(gate, second)

    asyncio.run(run())


def test_at_once(tmp_path: Path) -> None:
    """Over both keys; who has ended makes room, and one that is refused takes none."""
    gate, first, second = gate_of(tmp_path, first={"concurrent_requests": 1}, concurrent_requests=2)

    async def run() -> None:
        async with gate.enter(first):
            with pytest.raises(RateLimitReached, match="the key's limit is 1 at once"):
                await gate.enter(first).__aenter__()
            async with gate.enter(second):
                with pytest.raises(RateLimitReached, match="the owner's limit is 2 at once"):
                    await gate.enter(second).__aenter__()
        async with gate.enter(second), gate.enter(second):
            pass
        assert not gate._running

    asyncio.run(run())


def test_what_would_never_pass(tmp_path: Path) -> None:
    """Is refused by the smaller limit, and closer looks by the stricter."""
    gate, first, second = gate_of(
        tmp_path,
        first={"images_per_minute": 1, "max_detail": "low"},
        images_per_minute=2,
        tokens_per_minute=10,
        max_detail="auto",
    )
    images = [ImagePlaceholder("data:,", "low", f"p{number}") for number in range(3)]
    closer = [ImagePlaceholder("data:,", "auto", "p"), ImagePlaceholder("data:,", "high", "q")]

    async def refusal(key: Key, visiting: Visiting) -> str:
        async with gate.enter(key) as visit:
            with pytest.raises(InvalidRequest) as caught:
                await visiting(visit)
        return caught.value.message

    async def run() -> None:
        assert "the key's limit is 1" in await refusal(first, lambda visit: visit.take_images(images))
        assert "the owner's limit is 2" in await refusal(second, lambda visit: visit.take_images(images))
        assert "the owner's limit is 10" in await refusal(first, lambda visit: visit.take_prompt(11, "input"))
        assert "the key allows 'low'" in await refusal(first, lambda visit: visit.take_images(closer))
        assert "q.detail: the owner allows" in await refusal(second, lambda visit: visit.take_images(closer))

    asyncio.run(run())


def test_the_simple_key_has_an_owner_too(tmp_path: Path) -> None:
    """Whose limits the file may have."""
    file = limit_owners(write_two_keys(tmp_path / "k", "a", {}, {}), default={"requests_per_minute": 5})
    key = Keyring("simple", file).find(b"simple")
    assert key is not None
    assert key.owner_limits == Limits(requests_per_minute=5)


def test_the_last_window_says_when_to_come_again() -> None:
    """Where both refuse, the earlier one would be refused again."""

    async def run() -> None:
        budgets = Budgets()
        key = Account("key", "first-id", Limits(requests_per_minute=1))
        owner = Account("owner", "second-id", Limits(requests_per_minute=1))
        now = time.time()
        for account, end in ((key, now + 20), (owner, now + 40)):
            await budgets.charge(account.id, "requests", 1, 1)
            for name in budgets._own._ends:
                if account.id in name:
                    budgets._own._ends[name] = end
        for accounts in ((key, owner), (owner, key)):
            with pytest.raises(RateLimitReached, match="the owner's limit") as caught:
                await RequestAccounts(accounts, budgets).take("requests", 1)
            assert caught.value.retry_after_s in (40, 41)

    asyncio.run(run())


@pytest.mark.parametrize("shared", [False, True], ids=["memory", "redis"])
@pytest.mark.parametrize("amount", [1, 5])
def test_what_is_refused_between_look_and_use_is_given_back(
    amount: int, shared: bool, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another request uses the owner's rest after the look: the key's budget is as it was, and so is the
    owner's.
    """
    url = request.getfixturevalue("redis").url if shared else None

    async def run() -> None:
        budgets = Budgets(url)
        key = Account("key", "first-id", Limits(tokens_per_minute=50))
        owner = Account("owner", "second-id", Limits(tokens_per_minute=20))
        accounts = RequestAccounts((key, owner), budgets)
        look = accounts.require

        async def look_and_lose(unit: Unit, wanted: int) -> None:
            await look(unit, wanted)
            monkeypatch.setattr(accounts, "require", look)
            await budgets.take(owner.id, "tokens", 20, 20)

        monkeypatch.setattr(accounts, "require", look_and_lose)
        with pytest.raises(RateLimitReached, match="the owner's limit is 20"):
            await accounts.take("tokens", amount)
        assert (await budgets.standing(key.id, "tokens", 50)).remaining == 50
        await budgets.close()

    asyncio.run(run())


def test_what_is_given_back(tmp_path: Path) -> None:
    """What a request of a batch took that is tried again, unless the engine had it."""
    gate, key, _ = gate_of(tmp_path, requests_per_minute=10, tokens_per_minute=100)

    async def left() -> tuple[str, str]:
        """What is left after one more request."""
        told = (await visit_with(gate, key)).headers()
        return told["x-ratelimit-remaining-requests"], told["x-ratelimit-remaining-tokens"]

    async def fail(error: RequestError, enter: Enter = gate.enter_in_batch) -> None:
        """A line that takes 30 tokens and ends so."""
        with suppress(type(error)):
            async with enter(key) as visit:
                await visit.take_prompt(30, "input")
                raise error

    async def run() -> None:
        await fail(EngineUnavailable("not yet"))
        assert await left() == ("9", "99")
        await fail(EngineEnded("gone"))
        assert await left() == ("7", "68")
        await fail(InvalidRequest("wrong", param="x"))
        assert await left() == ("5", "37")
        await fail(EngineUnavailable("not yet"), partial(gate.enter, is_tried_again=True))
        assert await left() == ("4", "36")
        await fail(EngineUnavailable("not yet"), gate.enter)  # its client may try again, or not
        assert await left() == ("3", "5")

    asyncio.run(run())


def test_a_minute_that_is_over_gets_nothing_back(tmp_path: Path) -> None:
    """Another has begun meanwhile, which has never had it."""

    async def over() -> None:
        gate, key, _ = gate_of(tmp_path, requests_per_minute=10, tokens_per_minute=100)
        async with gate.enter_in_batch(key) as visit:
            await visit.take_prompt(30, "input")
            taken = visit._accounts._taken
            visit._accounts._taken = [
                replace(one, standing=replace(one.standing, resets_at=time.time() - 1)) for one in taken
            ]
            await visit.give_back()
        told = (await visit_with(gate, key)).headers()
        assert told["x-ratelimit-remaining-tokens"] == "69"

    asyncio.run(over())
