"""Whether an engine works on what it has been sent."""

import time
from typing import Protocol

from phiserve.engine.interface import EngineClient

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
