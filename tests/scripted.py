"""A scripted engine, for what a real one cannot be made to show."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

from phiserve.core import GenerationRequest
from phiserve.engine.interface import Admission, Delta, EngineHealth, EngineLimits, Generation
from phiserve.errors import RequestError


def delta(text: str = "", *, index: int = 0, ids: Sequence[int] = (), finish: str | None = None) -> Delta:
    """A delta without log-probabilities."""
    return Delta(index, text, tuple(ids), None, finish, 0)  # type: ignore[arg-type]


Step = Delta | Exception | Callable[[], "asyncio.Future[None]"]


@dataclass
class ScriptedEngine:
    """Plays `steps` for every request: deltas are yielded, exceptions raised, callables awaited."""

    steps: Sequence[Step] = ()
    context_tokens: int = 4096
    refuse: RequestError | None = None
    alive: bool = True
    generations: list[Generation] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def limits(self) -> EngineLimits:
        return EngineLimits(self.context_tokens, running=64, unfinished=256)

    @property
    def health(self) -> EngineHealth:
        return EngineHealth("serving")

    async def admit(self, request: GenerationRequest) -> Admission:
        if self.refuse is not None:
            raise self.refuse
        return Admission()

    async def generate(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        self.generations.append(generation)
        try:
            for image in generation.images:
                await image.load()
            for step in self.steps:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, Delta):
                    yield step
                else:
                    await step()
        finally:
            self.closed.set()

    async def answers_within(self, timeout_s: float) -> bool:
        return self.alive


@dataclass
class MortalEngine(ScriptedEngine):
    """A scripted engine that `end` ends, as a signal would."""

    is_busy: bool = False
    steps_made: int | None = None
    reason: str = ""
    was_killed: bool = False
    was_shut_down: bool = False
    is_warm: bool = False
    told: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def health(self) -> EngineHealth:
        return EngineHealth("lost", self.reason) if self.reason else EngineHealth("serving")

    def end(self) -> None:
        self.reason = "The engine was ended by SIGKILL"

    def kill(self) -> None:
        self.was_killed = True
        self.end()

    def fail_requests(self) -> None:
        self.told.set()

    def shutdown(self) -> None:
        self.was_shut_down = True

    def render_metrics(self) -> bytes:
        return b""
