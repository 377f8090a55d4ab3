"""What the routes work with, built once at start-up and passed along; nothing global."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastapi import Request
from msgspec.structs import replace

from phiserve.access.gate import Gate
from phiserve.api.body_budget import BodyBudget
from phiserve.chat.vocabulary import Vocabulary
from phiserve.checkpoint.tokenizer_repository import TokenizerRepository
from phiserve.config import Settings
from phiserve.decider import Decider, Undecided
from phiserve.engine.interface import EngineClient
from phiserve.errors import ModelNotFound, shortened
from phiserve.files.keeping import FileKeeper
from phiserve.pipeline import Pipeline
from phiserve.preparation import PromptPreparer
from phiserve.protocol.models import ModelCard
from phiserve.store.batch_records import BatchRecords
from phiserve.store.interface import Store

if TYPE_CHECKING:  # brought in only where traces are exported
    from opentelemetry.trace import Tracer


async def _nothing_to_close() -> None:
    """For services made of parts that hold nothing."""


async def _never_lost() -> str:
    """For services whose engine nobody watches."""
    return await asyncio.Future()


_UNDECIDED = Undecided("Decisions are not served")


@dataclass(frozen=True, slots=True)
class Services:
    """Parts of a running server.

    `card` tells of the model under its main name; it answers to `other_names` too. `gate` knows the keys, if
    there are any. `metrics` renders the engine's and our own in Prometheus' text format. `lost` waits until
    no further engine will be started, and says why. `tracer` makes spans, where traces are exported. `store`
    keeps responses and conversations, `files` keeps files, and `batches` what is known of batches of them,
    unless that is switched off. `decider` answers questions with probabilities, or says why it cannot.
    `bodies` bounds what of bodies, and of what is stored, is in memory before it is understood.
    """

    settings: Settings
    engine: EngineClient
    pipeline: Pipeline
    preparer: PromptPreparer
    vocabulary: Vocabulary
    tokenizer: TokenizerRepository
    card: ModelCard
    metrics: Callable[[], bytes]
    versions: dict[str, str]
    bodies: BodyBudget
    close: Callable[[], Coroutine[object, object, None]] = field(default=_nothing_to_close)
    lost: Callable[[], Coroutine[object, object, str]] = field(default=_never_lost)
    gate: Gate | None = None
    other_names: tuple[str, ...] = ()
    tracer: "Tracer | None" = None
    store: Store | None = None
    decider: Decider | Undecided = _UNDECIDED
    files: FileKeeper | None = None
    batches: BatchRecords | None = None

    @property
    def cards(self) -> list[ModelCard]:
        """The served model, once under each of its names."""
        return [self.card, *(replace(self.card, id=name) for name in self.other_names)]

    def check_model(self, name: str | None) -> str:
        """The name to answer with: the one asked for or, where none is, the main one.

        Raises ModelNotFound for any other than the served model's.
        """
        if name is None:
            return self.card.id
        names = (self.card.id, *self.other_names)
        if name not in names:
            served = " or ".join(map(repr, names))
            raise ModelNotFound(
                f"The model {shortened(name)!r} is not served here; this server serves {served}",
                param="model",
            )
        return name


def services_of(request: Request) -> Services:
    """The services of the app a request belongs to."""
    services: Services = request.app.state.services
    return services
