"""When an engine counts as standing still: by its steps, not by whether it answers."""

import asyncio
from dataclasses import dataclass, field

import pytest

from phiserve.engine import hang
from phiserve.engine.hang import LATE_S, Stillness
from scripted import ScriptedEngine


@dataclass
class WorkingEngine(ScriptedEngine):
    """A scripted engine with a number of steps."""

    is_busy: bool = True
    steps_made: int | None = 0


@dataclass
class Clock:
    """A monotonic clock that a test moves."""

    now: float = 100.0

    def monotonic(self) -> float:
        return self.now


@dataclass
class Watch:
    """Looks at an engine after so many seconds each."""

    engine: WorkingEngine
    clock: Clock
    stillness: Stillness = field(init=False)

    def __post_init__(self) -> None:
        self.stillness = Stillness(self.engine)

    def after(self, seconds: float) -> float:
        """Let time pass, and look."""
        self.clock.now += seconds
        return asyncio.run(self.stillness.seconds(0.1))


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    clock = Clock()
    monkeypatch.setattr(hang, "time", clock)
    return Watch(WorkingEngine(), clock)


def test_an_engine_that_answers_and_does_nothing(watch: Watch) -> None:
    """A loop that goes round without a step is as good as none."""
    assert [watch.after(1) for _ in range(4)] == [0, 1, 2, 3]


def test_every_step_counts(watch: Watch) -> None:
    """A long prompt has many before its first token, with nothing said in between."""
    for steps in range(100):
        watch.engine.steps_made = steps
        assert watch.after(1.9) == 0
    assert watch.after(1) == 1


def test_an_idle_engine(watch: Watch) -> None:
    """Nobody waits: also while a client reads slowly what the engine has long given out."""
    watch.engine.is_busy = False
    assert [watch.after(1) for _ in range(3)] == [0, 0, 0]
    watch.engine.is_busy = True
    assert [watch.after(1) for _ in range(2)] == [0, 1]


def test_an_engine_that_tells_of_no_steps(watch: Watch) -> None:
    """Its loop's answers are all there is to go by."""
    watch.engine.steps_made = None
    assert [watch.after(1) for _ in range(2)] == [0, 0]
    watch.engine.alive = False
    assert [watch.after(1) for _ in range(3)] == [0, 1, 2]


def test_a_process_that_was_stopped_itself(watch: Watch) -> None:
    """After an hour in which nobody looked, at most `LATE_S` are held against the engine."""
    watch.after(1)
    assert watch.after(3600) == LATE_S
    watch.engine.steps_made = 1
    assert watch.after(3600) == 0
