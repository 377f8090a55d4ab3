"""A scripted engine of which only the labels of options are read."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from phiserve.core import GenerationRequest
from phiserve.engine.interface import Admission, Candidate, Delta, Generation, Position
from scripted import ScriptedEngine


@dataclass(frozen=True, slots=True, eq=False)
class Asked(Admission):
    """Which tokens a read asks about."""

    ids: tuple[int, ...] = ()


@dataclass
class ReadingEngine(ScriptedEngine):
    """Says of each token that a read asks about what `logprobs` say of its place among them, in turn."""

    logprobs: Sequence[Sequence[float]] = ((-0.1, -2.5),)
    cached: Sequence[int] = (0,)
    at_once: int = 0
    most_at_once: int = 0
    asked: list[tuple[int, ...]] = field(default_factory=list)
    beside: list[int] = field(default_factory=list)
    admitted: list[int] = field(default_factory=list)

    async def admit(self, request: GenerationRequest) -> Admission:
        await super().admit(request)
        assert request.read_token_ids is not None
        self.admitted.append(len(request.read_token_ids))
        return Asked(ids=request.read_token_ids)

    async def generate(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        """As the first of a supervisor's engines."""
        assert generation.turn is not None
        await generation.turn(1)
        number = len(self.generations)
        self.generations.append(generation)
        self.beside.append(self.at_once)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0)
            for step in self.steps:
                assert isinstance(step, Exception)
                raise step
            assert isinstance(generation.admission, Asked)
            ids = generation.admission.ids
            self.asked.append(ids)
            logprobs = self.logprobs[number % len(self.logprobs)]
            top = [Candidate(one, logprobs[place % len(logprobs)]) for place, one in enumerate(ids)]
            position = Position(Candidate(5, -1.0), (Candidate(5, -1.0), *top))
            yield Delta(0, "", [5], (position,), "length", self.cached[number % len(self.cached)])
        finally:
            self.at_once -= 1
