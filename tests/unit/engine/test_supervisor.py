"""What becomes of requests when engines end, with scripted ones: also starts that fail."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from phiserve.core import Conversation, GenerationRequest, Turn
from phiserve.engine import hang, supervisor
from phiserve.engine.interface import Admission, Delta, EngineClient, EngineHealth, Generation
from phiserve.engine.supervisor import RestartPolicy, StartedEngine, SupervisedEngine
from phiserve.errors import EngineEnded, EngineFailure, EngineUnavailable, StartupError
from scripted import MortalEngine, delta

GENERATION = Generation("id", [1], (), Admission(), 5)
REQUEST = GenerationRequest("id", Conversation((Turn("user", ("Hi",)),)))
STOPPED = EngineUnavailable("The engine has stopped")
POLICY = RestartPolicy(max_restarts=2, hang_s=0.3)


def ends_after(engine: MortalEngine, *deltas: Delta, error: Exception = STOPPED) -> None:
    """Let the engine end after these deltas of each request."""

    async def end() -> None:
        engine.end()
        raise error

    engine.steps = (*deltas, lambda: asyncio.ensure_future(end()))


@asynccontextmanager
async def supervised(
    engine: MortalEngine, *following: MortalEngine | Exception
) -> AsyncGenerator[SupervisedEngine]:
    """Engines in the order in which they are started; the last start never comes to an end."""
    starts = iter(following)

    async def start() -> StartedEngine:
        match next(starts, None):
            case Exception() as error:
                raise error
            case MortalEngine() as started:
                return started
        return await asyncio.Future()

    engines = SupervisedEngine(engine, start, POLICY)

    async def warm_up(new: EngineClient) -> None:
        assert isinstance(new, MortalEngine)
        assert engines.health.state != "serving"
        new.is_warm = True

    engines.watch(warm_up)
    try:
        yield engines
    finally:
        await engines.close()


async def texts(engines: SupervisedEngine) -> list[str]:
    return [delta.text async for delta in engines.generate(GENERATION)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hang, "WATCH_INTERVAL_S", 0.01)
    monkeypatch.setattr(supervisor, "LONGEST_BACKOFF_S", 0.01)


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(work(), 20)

    asyncio.run(bounded())


def test_a_request_that_has_shown_nothing_is_sent_again() -> None:
    """To the next engine, whole."""

    async def work() -> None:
        first, second = MortalEngine(), MortalEngine(steps=[delta("a"), delta("b", finish="stop")])
        ends_after(first)
        async with supervised(first, second) as engines:
            assert await texts(engines) == ["a", "b"]
            assert engines.health == EngineHealth("serving")
            assert first.was_shut_down
            assert first.told.is_set()
            assert second.is_warm

    run(work)


def test_a_request_that_has_shown_text_fails() -> None:
    """A second beginning after a first one would be nonsense."""

    async def work() -> None:
        first = MortalEngine()
        ends_after(first, delta("a"))
        async with supervised(first, MortalEngine()) as engines:
            with pytest.raises(EngineUnavailable, match="ended during this answer"):
                await texts(engines)

    run(work)


def test_a_request_that_is_to_be_sent_once() -> None:
    """Is told which engine ended over it, before its first delta and after; none other is waited for."""
    once = replace(GENERATION, is_sent_once=True)

    async def fails(engines: SupervisedEngine, expected: type[EngineUnavailable]) -> EngineUnavailable:
        with pytest.raises(expected) as caught:
            [delta async for delta in engines.generate(once)]
        return caught.value

    def dies(engine: MortalEngine, *deltas: Delta) -> None:
        ends_after(engine, *deltas, error=EngineEnded("The engine has stopped"))

    async def work() -> None:
        first, second = MortalEngine(), MortalEngine()
        dies(first)
        dies(second, delta("a"))
        async with supervised(first, second) as engines:
            for number in (1, 2):
                ended = await fails(engines, EngineEnded)
                assert isinstance(ended, EngineEnded)
                assert ended.engine == number
                if number == 1:
                    assert type(await fails(engines, EngineUnavailable)) is EngineUnavailable
                    while engines.health.state != "serving" or second.reason or not second.is_warm:
                        await asyncio.sleep(0)

    run(work)


def test_a_request_that_ends_engines_is_given_up() -> None:
    """After two of them; the next engine is for others."""

    async def work() -> None:
        first, second, third = MortalEngine(), MortalEngine(), MortalEngine(steps=[delta("c", finish="stop")])
        ends_after(first)
        ends_after(second)
        async with supervised(first, second, third) as engines:
            with pytest.raises(EngineFailure, match="2 times"):
                await texts(engines)
            assert await texts(engines) == ["c"]

    run(work)


def test_starts_that_fail_count(caplog: pytest.LogCaptureFixture) -> None:
    """After the limit the engine is lost: whoever waits is told so, and whoever comes."""

    async def work() -> None:
        first = MortalEngine()
        errors = StartupError("no memory"), StartupError("still no memory")
        async with supervised(first, *errors) as engines:
            first.end()
            with pytest.raises(EngineUnavailable, match="still no memory"):
                await texts(engines)
            assert "still no memory" in await engines.lost()
            assert engines.health.state == "lost"
            with pytest.raises(EngineUnavailable):
                await engines.admit(REQUEST)
            assert not await engines.answers_within(1)

    run(work)
    assert "start 2 of at most 2" in caplog.text


def test_no_failure_ends_the_watch(caplog: pytest.LogCaptureFixture) -> None:
    """What nobody expected of a start, or of clearing away the old engine, is followed by another start."""

    class Stubborn(MortalEngine):
        def shutdown(self) -> None:
            super().shutdown()
            if self.reason:
                raise OSError("busy")

    async def work() -> None:
        first, second = Stubborn(), MortalEngine(steps=[delta("a", finish="stop")])
        async with supervised(first, KeyError("odd"), second) as engines:
            first.end()
            assert await texts(engines) == ["a"]

    run(work)
    assert "A new engine failed at its start (KeyError)" in caplog.text
    assert "could not be cleared away" in caplog.text


def test_a_silent_engine_is_ended_only_if_somebody_waits() -> None:
    """Silence of an idle engine means nothing."""

    async def work() -> None:
        first, second = MortalEngine(alive=False), MortalEngine()
        async with supervised(first, second):
            await asyncio.sleep(0.5)
            assert not first.was_killed
            first.is_busy = True
            await first.told.wait()
            assert first.was_killed

    run(work)


def test_an_engine_that_goes_round_without_a_step_is_ended(caplog: pytest.LogCaptureFixture) -> None:
    """It answers, but its steps do not grow. One whose steps grow may say nothing for as long as it likes."""

    async def work() -> None:
        first = MortalEngine(is_busy=True, steps_made=0)
        async with supervised(first, MortalEngine()):
            for step in range(20):
                first.steps_made = step
                await asyncio.sleep(POLICY.hang_s / 10)
            assert not first.was_killed
            await first.told.wait()
            assert first.was_killed

    run(work)
    assert "answered, but made no step for 0.3 s and was ended" in caplog.text


def test_closing_ends_waiting_requests() -> None:
    """And the start of the next engine."""

    async def work() -> None:
        first = MortalEngine()
        async with supervised(first) as engines:
            first.end()
            waiting = asyncio.create_task(texts(engines))
            await first.told.wait()
        with pytest.raises(EngineUnavailable, match="shutting down"):
            await waiting

    run(work)


@pytest.mark.parametrize("steps", [None, 0], ids=["stopped", "livelocked"])
def test_an_engine_that_hangs_while_it_is_warmed_up(
    steps: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Is ended and counts as a failed start; the next one serves."""

    async def work() -> None:
        first, third = MortalEngine(), MortalEngine()
        second = MortalEngine(is_busy=True, steps_made=steps, alive=steps is not None)
        started = iter([second, third])

        async def start() -> StartedEngine:
            return next(started)

        async def warm_up(engine: EngineClient) -> None:
            if engine is second:
                await asyncio.Future()

        engines = SupervisedEngine(first, start, POLICY)
        engines.watch(warm_up)
        first.end()
        await first.told.wait()
        async for _ in engines.generate(GENERATION):
            pass
        assert (second.was_killed, second.was_shut_down) == (True, True)
        assert engines.health.state == "serving"
        await engines.close()

    run(work)
    assert "was ended while it was warmed up" in caplog.text


def test_a_start_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over it, the start is cancelled, and counts as one that failed."""
    monkeypatch.setattr(supervisor, "LEAST_START_S", 0.0)

    async def work() -> None:
        first = MortalEngine()
        cancelled: list[bool] = []

        async def start() -> StartedEngine:
            try:
                return await asyncio.Future()
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        async def warm_up(engine: EngineClient) -> None:
            raise AssertionError

        engines = SupervisedEngine(first, start, POLICY)
        engines.watch(warm_up)
        first.end()
        assert "took over 0.3 s to start" in await engines.lost()
        assert cancelled == [True, True]
        await engines.close()

    run(work)
