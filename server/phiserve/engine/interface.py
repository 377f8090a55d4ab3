"""What the pipeline and the engine say to each other.

No vLLM in here, so that the pipeline can be tested without it.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from phiserve.core import FinishReason, GenerationRequest
from phiserve.turns import NOBODY, Line
from phiserve.vision.sizes import CropPlan


@dataclass(frozen=True, slots=True)
class PromptImage:
    """An image in the prompt, and the way to its pixels.

    `key` is its cache key, `plan` the plan of its crops, `offset` the index of its first token. `load`
    returns uint8 crops (n, 336, 336, 3). It is called only when the engine does not hold the image, perhaps
    twice.
    """

    key: str
    plan: CropPlan
    offset: int
    load: Callable[[], Awaitable[NDArray[np.uint8]]]


@dataclass(frozen=True, slots=True, eq=False)
class Admission:
    """What an engine verified of a request: how many sequences it will run for it.

    An engine may have a subclass with more, which only it looks into.
    """

    sequences: int = 1


@dataclass(frozen=True, slots=True)
class Generation:
    """One request to the engine.

    `prompt_ids` holds `<|image|>` for every image token. `max_tokens` is decided, never absent. Cached
    prompts are shared only under an equal `cache_salt`. `line`: whose turn the request waits for.
    `trace_headers`: the span that the engine's own is part of, as W3C Trace Context's headers.
    `is_sent_once`: see `GenerationRequest`. `turn` is awaited before it is sent to an engine, with its
    number, counted from 1; where that has changed meanwhile, again.
    """

    request_id: str
    prompt_ids: list[int]
    images: tuple[PromptImage, ...]
    admission: Admission
    max_tokens: int
    cache_salt: str | None = None
    line: Line = NOBODY
    trace_headers: Mapping[str, str] | None = None
    is_sent_once: bool = False
    turn: Callable[[int], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token id and its log-probability."""

    token_id: int
    logprob: float


@dataclass(frozen=True, slots=True)
class Position:
    """Log-probabilities at one position: the chosen token, then the most likely ones, best first."""

    chosen: Candidate
    top: tuple[Candidate, ...]


class Delta(Struct, frozen=True):
    """What one engine output adds to choice `index`.

    `text` may be empty while a character or a stop string is incomplete.
    """

    index: int
    text: str
    token_ids: Sequence[int]
    positions: tuple[Position, ...] | None
    finish_reason: FinishReason | None
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What requests must fit into.

    `running`: sequences that run at once. `unfinished`: sequences that may run or wait, all together.
    `reads_apart`: whether a request's `read_token_ids` leave log-probabilities of others alone.
    `chunk_tokens`: so much of a prompt's text is read in one step, whoever else is in it. `short_tokens`:
    longer prompts share nothing with those up to it; None where all may.
    """

    context_tokens: int
    running: int
    unfinished: int
    reads_apart: bool = True
    chunk_tokens: int = 512
    short_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """Whether there is an engine.

    `serving`: it runs. `restarting`: it ended, and a new one is being started. `lost`: no further one will
    be. `reason` says why it does not serve.
    """

    state: Literal["serving", "restarting", "lost"]
    reason: str = ""


class EngineClient(Protocol):
    """The engine as the pipeline and the routes see it."""

    @property
    def limits(self) -> EngineLimits:
        """Limits that hold for every request."""

    @property
    def health(self) -> EngineHealth:
        """Whether there is an engine."""

    async def admit(self, request: GenerationRequest) -> Admission:
        """Verify what does not depend on the prompt, once.

        Raises InvalidRequest, Overloaded or EngineUnavailable.
        """

    def generate(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        """Deltas of all choices until each has finished.

        Closing the generator aborts the request in the engine. Raises InvalidRequest, Overloaded,
        EngineFailure, EngineUnavailable or, where the engine ends meanwhile, EngineEnded.
        """

    async def answers_within(self, timeout_s: float) -> bool:
        """Whether the engine loop answered lately or answers a ping within `timeout_s`."""
