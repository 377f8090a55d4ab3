"""Ended engines that requests still hold: freed once these have ended."""

import asyncio
import weakref

import pytest

from phiserve.engine import freeing, hang
from phiserve.engine.freeing import freed, until_freed
from phiserve.engine.interface import Admission, EngineClient, Generation
from phiserve.engine.supervisor import RestartPolicy, StartedEngine, SupervisedEngine
from scripted import MortalEngine, delta

LIMIT_S = 20


class CircularEngine(MortalEngine):
    """Goes only when garbage is collected, as vLLM's does."""

    def __post_init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hang, "WATCH_INTERVAL_S", 0.01)
    monkeypatch.setattr(freeing, "HELD_FOR_S", 0.01)


def test_memory_goes_back_to_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the C library can: by itself it keeps what was freed."""
    trimmed: list[int] = []
    monkeypatch.setattr(freeing, "_malloc_trim", trimmed.append)
    engine = CircularEngine()
    assert not asyncio.run(freed(weakref.ref(engine)))
    assert trimmed == [0]


def test_what_is_held_is_freed_when_it_is_let_go() -> None:
    """And not before."""

    async def work() -> None:
        engine = CircularEngine()
        ended = weakref.ref(engine)
        waiting = asyncio.create_task(until_freed(ended))
        done, _ = await asyncio.wait({waiting}, timeout=0.1)
        assert not done
        del engine
        await asyncio.wait_for(waiting, LIMIT_S)
        assert ended() is None

    asyncio.run(work())


def test_an_ended_engine_goes_with_the_last_request_that_holds_it() -> None:
    """A stream whose client reads nothing while the next engine starts."""

    async def work() -> None:
        engines = SupervisedEngine(
            CircularEngine(steps=[delta("a"), delta("b")]), start, RestartPolicy(2, 20)
        )
        ended = weakref.ref(engines._engine)
        engines.watch(warm_up)
        stream = engines.generate(Generation("id", [1], (), Admission(), 5))
        assert (await anext(stream)).text == "a"
        end(ended)
        while engines._engine is ended() or engines.health.state != "serving":
            await asyncio.sleep(0.01)
        assert ended() is not None
        assert engines._freeing
        await stream.aclose()
        await asyncio.wait_for(asyncio.gather(*engines._freeing), LIMIT_S)
        assert ended() is None
        await engines.close()

    asyncio.run(work())


def end(engine: "weakref.ref[StartedEngine]") -> None:
    """End an engine without holding it afterwards."""
    mortal = engine()
    assert isinstance(mortal, MortalEngine)
    mortal.end()


async def start() -> StartedEngine:
    return CircularEngine()


async def warm_up(_engine: EngineClient) -> None:
    """Nothing to warm up."""
