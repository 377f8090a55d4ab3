"""An engine that ends over some requests, as a real one can't be made to."""

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from batching import chat_line
from phiserve.engine.interface import Delta, EngineHealth, Generation
from phiserve.errors import EngineEnded
from scripted import ScriptedEngine
from wire import ANSWER


@dataclass
class Ending(ScriptedEngine):
    """Ends over long prompts, with all that run beside them; another follows at once, unless it `stays_away`.

    `is_late`: after the first token, otherwise before it. `beside`: so many requests have begun at the first
    end. `ends`: how many were under way at each end, and when that was.
    """

    is_late: bool = False
    stays_away: bool = False
    beside: int = 0
    ends: list[tuple[int, float]] = field(default_factory=list)
    num_under_way: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def health(self) -> EngineHealth:
        return EngineHealth("restarting" if self.ends and self.stays_away else "serving")

    @property
    def asked(self) -> list[bool]:
        """Of each request, whether it is one that ends engines."""
        return [kills(generation) for generation in self.generations]

    async def generate(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        assert generation.is_sent_once
        self.generations.append(generation)
        number, over = len(self.ends) + 1, self.over
        self.num_under_way += 1
        if self.is_late:
            yield ANSWER[0]
        while not self.ends and len(self.generations) < self.beside:
            await asyncio.sleep(0)
        if kills(generation) and not over.is_set():
            self.ends.append((self.num_under_way, time.monotonic()))
            self.num_under_way, self.over = 0, asyncio.Event()
            over.set()
        for _ in range(5):
            await asyncio.sleep(0)
        if over.is_set():
            raise EngineEnded("The engine has stopped", engine=number)
        self.num_under_way -= 1
        for delta in ANSWER[self.is_late :]:
            yield delta


def kills(generation: Generation) -> bool:
    """Whether a request ends the engine."""
    return len(generation.prompt_ids) > 100


def killing(custom_id: str, number: int = 0) -> dict[str, Any]:
    """A line that ends engines."""
    return chat_line(custom_id, f"{number} " * 200)
