"""Whether an engine works on what it has been sent."""

import asyncio
import time
from contextlib import suppress
from typing import Protocol

from phiserve.engine.interface import EngineClient

WATCH_INTERVAL_S = 0.2
"""Seconds between two looks at the engine's process."""

LATE_S = 2.0
"""Longest time between two looks that counts: after a longer one, it was this process that stood still."""


class WatchedEngine(EngineClient, Protocol):
    """An engine that tells whether it works."""

    @property
    def is_busy(self) -> bool:
        """Whether requests wait for its answer."""

    @property
    def steps_made(self) -> int | None:
        """A number that grows with every step that works on requests, or None if it can't be known."""


class EndableEngine(WatchedEngine, Protocol):
    """A watched engine whose processes can be ended."""

    def kill(self) -> None:
        """End its processes at once."""


class Stillness:
    """For how long an engine has done nothing, though requests wait for it.

    That it answers is no sign that it works: its loop may go round without ever making a step.
    """

    def __init__(self, engine: WatchedEngine) -> None:
        self._engine = engine
        self._sign: object = None
        self._still_s = 0.0
        self._looked = time.monotonic()

    async def seconds(self, timeout_s: float) -> float:
        """Look at the engine, within `timeout_s`.

        Only time in which somebody looked is counted, so that a process that was stopped, together with its
        engine, does not take it for hanging afterwards.
        """
        sign = await self._sign_of_work(timeout_s)
        now = time.monotonic()
        passed, self._looked = now - self._looked, now
        self._still_s = self._still_s + min(passed, LATE_S) if sign == self._sign else 0.0
        self._sign = sign
        return self._still_s

    async def _sign_of_work(self, timeout_s: float) -> object:
        """What is another one at each look while all is well.

        Of an engine that does not tell of its steps, an answer of its loop is all there is.
        """
        if not self._engine.is_busy:
            return object()
        if (steps := self._engine.steps_made) is not None:
            return steps
        return object() if await self._engine.answers_within(timeout_s) else None


async def until_it_fails(engine: EndableEngine, hang_s: float, suspected: asyncio.Event) -> str:
    """Wait until the engine has ended, or hangs for `hang_s` seconds and has been ended. How it ended.

    `suspected` asks for a look before its time, and is cleared.
    """
    stillness = Stillness(engine)
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(suspected.wait(), WATCH_INTERVAL_S)
        suspected.clear()
        health = engine.health
        if health.state != "serving":
            return health.reason
        if await stillness.seconds(WATCH_INTERVAL_S) > hang_s:
            return await _end_hanging(engine, hang_s)


async def _end_hanging(engine: EndableEngine, hang_s: float) -> str:
    """End an engine that stands still, or goes round without doing anything. Which it was."""
    is_alive = await engine.answers_within(WATCH_INTERVAL_S)
    await asyncio.to_thread(engine.kill)
    did = "answered, but made no step" if is_alive else "answered nothing"
    return f"The engine {did} for {hang_s:g} s and was ended"
