"""Minutes are counted in memory or in Redis, in the same way."""

import asyncio
import logging
import signal
import time
from typing import TYPE_CHECKING

import pytest

from phiserve.access import budgets as module
from phiserve.access.budgets import STORE_FAILURES, Budgets, Standing, limit_reached
from phiserve.errors import RateLimitReached, StartupError

if TYPE_CHECKING:
    from unit.access.conftest import RedisServer

NOWHERE = "redis://127.0.0.1:9/0"


def failures() -> float:
    """How often Redis has failed so far."""
    return float(STORE_FAILURES._value.get())


async def show_a_minute(budgets: Budgets) -> None:
    """A budget of ten tokens, from the first to the last and beyond."""
    unused = await budgets.standing("k", "tokens", 10)
    assert (unused.remaining, unused.reset_s) == (10, 0)
    began = time.time()
    standing = await budgets.take("k", "tokens", 10, 7)
    assert standing.remaining == 3
    assert 55 < standing.reset_s <= 60
    with pytest.raises(RateLimitReached) as caught:
        await budgets.take("k", "tokens", 10, 4)
    assert 55 < caught.value.retry_after_s <= 60
    assert (await budgets.standing("k", "tokens", 10)).remaining == 3
    await budgets.charge("k", "tokens", 10, 5)
    standing = await budgets.standing("k", "tokens", 10)
    assert standing.remaining == 0
    assert standing.resets_at == pytest.approx(began + 60, abs=2)
    assert (await budgets.standing("other", "tokens", 10)).remaining == 10
    assert (await budgets.standing("k", "images", 10)).remaining == 10
    await budgets.close()


def test_in_memory() -> None:
    """What is refused uses nothing; what is charged may use more than is left."""
    asyncio.run(show_a_minute(Budgets()))


def test_in_redis(redis: "RedisServer") -> None:
    """The same, and nothing failed."""
    before = failures()
    asyncio.run(show_a_minute(Budgets(redis.url)))
    assert failures() == before


@pytest.mark.parametrize("shared", [False, True])
def test_windows_end(shared: bool, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a window ends, all of its budget is there again; whoever waits as long as told is let in."""
    monkeypatch.setattr(module, "WINDOW_S", 2)
    url = request.getfixturevalue("redis").url if shared else None

    async def run() -> None:
        budgets = Budgets(url)
        await budgets.take("k", "requests", 1, 1)
        with pytest.raises(RateLimitReached) as caught:
            await budgets.take("k", "requests", 1, 1)
        await asyncio.sleep(caught.value.retry_after_s)  # what a client does, not a wait for something
        await budgets.take("k", "requests", 1, 1)
        await budgets.close()

    asyncio.run(run())


def test_servers_share_a_budget(redis: "RedisServer") -> None:
    """Forty requests at two servers: as many pass as one budget has."""

    async def run() -> int:
        servers = [Budgets(redis.url), Budgets(redis.url)]
        taking = [server.take("k", "requests", 10, 1) for server in servers for _ in range(20)]
        results = await asyncio.gather(*taking, return_exceptions=True)
        for server in servers:
            await server.close()
        assert {type(result) for result in results} == {Standing, RateLimitReached}
        return sum(isinstance(result, Standing) for result in results)

    assert asyncio.run(run()) == 10


def test_redis_that_ends_and_comes_back(
    redis: "RedisServer", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without it the server counts alone, which is logged and counted; then together again."""
    monkeypatch.setattr(module, "STORE_PAUSE_S", 0.0)

    async def run() -> None:
        budgets = Budgets(redis.url)
        await budgets.take("k", "requests", 2, 2)
        redis.stop()
        before = failures()
        with caplog.at_level(logging.WARNING):
            await budgets.take("k", "requests", 2, 2)  # a budget of its own
        assert failures() > before
        assert "counts alone for now" in caplog.text
        with pytest.raises(RateLimitReached):
            await budgets.take("k", "requests", 2, 1)
        redis.start()
        await budgets.take("k", "requests", 2, 1)  # a new Redis, which knows of nothing
        other = Budgets(redis.url)
        assert (await other.standing("k", "requests", 2)).remaining == 1
        await budgets.close()
        await other.close()

    asyncio.run(run())


def test_redis_that_stands_still(redis: "RedisServer") -> None:
    """It is not waited for longer than STORE_TIMEOUT_S, and then left alone for a while."""

    async def run() -> None:
        budgets = Budgets(redis.url)
        await budgets.standing("k", "requests", 2)
        redis.process.send_signal(signal.SIGSTOP)
        before = failures()
        for _ in range(2):
            await budgets.take("k", "requests", 2, 1)
        assert failures() == before + 1
        redis.process.send_signal(signal.SIGCONT)
        await budgets.close()

    asyncio.run(run())


def test_a_clock_that_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put forward, it ends the window; put back, the key is not kept out until it has caught up."""
    real = time.time
    offset_s = 0.0
    monkeypatch.setattr(time, "time", lambda: real() + offset_s)

    async def run() -> None:
        nonlocal offset_s
        budgets = Budgets()
        await budgets.take("k", "requests", 1, 1)
        offset_s = 3600.0
        await budgets.take("k", "requests", 1, 1)
        offset_s = 0.0
        with pytest.raises(RateLimitReached) as caught:
            await budgets.take("k", "requests", 1, 1)
        assert caught.value.retry_after_s <= 60
        await budgets.take("k", "requests", 1, 1)

    asyncio.run(run())


def test_redis_that_is_nowhere() -> None:
    """A server starts without it, and counts."""

    async def run() -> None:
        budgets = Budgets(NOWHERE)
        await budgets.take("k", "requests", 1, 1)
        with pytest.raises(RateLimitReached):
            await budgets.take("k", "requests", 1, 1)
        await budgets.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "url", ["memcached://a:1", "http://a", "redis", "redis://u:pw@a:x/0", "redis://:pw@a"]
)
def test_urls_that_are_no_redis(url: str) -> None:
    """One sentence that names the setting, and repeats no password."""
    with pytest.raises(StartupError, match="Setting limits_url: ") as caught:
        Budgets(url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(("left_s", "retry_after_s"), [(0.2, 1), (12.3, 13), (59.9, 60), (60.0, 60)])
def test_retry_after(left_s: float, retry_after_s: int) -> None:
    """Whole seconds, never before the reset, and never more than the openai client obeys."""
    refusal = limit_reached("requests", Standing(5, 0, time.time() + left_s), 1)
    assert refusal.headers == {"Retry-After": str(retry_after_s)}
    assert "requests: the key's limit is 5 per minute, of which 0 are left" in refusal.message


def test_nothing_used_resets_at_once() -> None:
    """As OpenAI tells it: the time until the budget is whole."""
    assert Standing(5, 5, time.time() + 60).reset_s == 0
