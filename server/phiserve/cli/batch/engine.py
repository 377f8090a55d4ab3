"""A batch's requests answered by an engine of the command's own: a server's parts, but no server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial

from pydantic import SecretStr
from rich.console import Console

from phiserve.api.batches.answering import PASSING, AskedBy, LineAnswer, LineAnswerer, window_of
from phiserve.api.batches.ends import EngineEnds
from phiserve.api.services import Services
from phiserve.assembly import check_settings, model_names, start_services
from phiserve.checkpoint.opened import Checkpoint
from phiserve.cli.batch.lines import check_model
from phiserve.cli.batch.work import LineRequest, Outcome, Source
from phiserve.config import Settings
from phiserve.engine.environment import prepare_environment
from phiserve.engine.forking import EngineTemplate, begin_template, import_engine
from phiserve.errors import EngineLost
from phiserve.protocol.batches.bodies import check_line
from phiserve.protocol.batches.lines import BatchLine
from phiserve.served import served_checkpoint
from phiserve.turns import NOBODY, Room
from phiserve.warm_up import warm_up

ALONE = AskedBy()
"""Whose requests they are: nobody else's are there."""

PAUSE_S = 0.2
"""Before a request is tried again that there was no room for, or no engine."""


@dataclass(frozen=True, slots=True)
class OwnEngine:
    """An engine that is started for the batch, and ended with it."""

    settings: Settings

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which requests may ask for the model, the main one first."""
        return model_names(self.settings)

    def check(self, line: BatchLine) -> None:
        """Raises LineRefused for a line that this engine's routes would refuse."""
        check_model(line, self.names)
        check_line(line)

    def source(self, console: Console, at_once: int | None) -> Source:
        """Check settings and open the checkpoint. Raises StartupError."""
        settings = without_server(self.settings)
        check_settings(settings)
        prepare_environment()
        checkpoint = served_checkpoint(settings, console)
        with console.status(f"Loading {self.names[0]} …"):
            import_engine()
        return partial(_started, settings, checkpoint, begin_template(), console, at_once)


@asynccontextmanager
async def _started(
    settings: Settings,
    checkpoint: Checkpoint,
    template: EngineTemplate,
    console: Console,
    at_once: int | None,
) -> AsyncIterator["EngineAnswering"]:
    """Start an engine, and end it and its template with the block. Raises StartupError."""
    name = model_names(settings)[0]
    with closing(template):
        with console.status(f"Loading {name} …"):
            services, report = await start_services(settings, checkpoint, template)
        try:
            with console.status("Warming up …"):
                await warm_up(services.pipeline, with_image=settings.max_images > 0)
            for line in report:
                console.print(f"  {line}", soft_wrap=True)
            if not checkpoint.kind.is_real:
                console.print(f"{name}: {checkpoint.kind.description}", style="yellow", soft_wrap=True)
            yield EngineAnswering(services, at_once or window_of(services))
        finally:
            await services.close()


class EngineAnswering:
    """Answers through the parts of a server, `at_once` requests at a time."""

    def __init__(self, services: Services, at_once: int) -> None:
        self._engine = services.engine
        self._answerer = LineAnswerer(services)
        self._room = Room(at_once)
        self._ends = EngineEnds(services.settings.max_engine_restarts - 1)
        self.model = services.card.id
        self.at_once = at_once

    async def answer(self, request: LineRequest) -> Outcome:
        """Answer a request. Raises EngineLost where no engine can be kept running."""
        answer = await self._tried(request, 1)
        if answer.may_pass:
            answer = await self._tried(request, 1)
        elif answer.is_engine_failure:  # of those that were there when it failed, one may be to blame
            answer = await self._tried(request, self.at_once)
        return Outcome(answer.status_code, answer.request_id, answer.body)

    async def _tried(self, request: LineRequest, size: int) -> LineAnswer:
        """The answer, beside others or, where `size` is all the room, by itself. Raises EngineLost."""
        while True:
            await self._room.enter(NOBODY, size, size)
            try:
                await self._until_it_may_be_asked()
                async with self._answerer.visit(ALONE) as visit:
                    answer = await self._answerer.answer(request.url, request.body, ALONE, visit)
            except PASSING:
                await asyncio.sleep(PAUSE_S)
            else:
                if answer.ended_engine is not None:
                    self._ends.add(answer.ended_engine)
                return answer
            finally:
                self._room.leave(size)

    async def _until_it_may_be_asked(self) -> None:
        while (health := self._engine.health).state != "serving" or self._ends.must_wait:
            if health.state == "lost":
                raise EngineLost(health.reason)
            await asyncio.sleep(PAUSE_S)


def without_server(settings: Settings) -> Settings:
    """Settings without what is for clients alone: keys, stored state, files, the log, traces."""
    off = {"state_url": SecretStr("off"), "files_url": "off", "log_requests": "off"}
    nobody = {"api_key": None, "keys_file": None, "limits_url": None, "traces_url": None}
    return settings.model_copy(update=off | nobody)
