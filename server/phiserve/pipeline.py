"""The life of a request, from the inner request to the engine's deltas.

One orchestration, no wire format and no vLLM.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from phiserve.constraints.constraint import Constraint
from phiserve.core import GenerationRequest
from phiserve.deadline import Deadline
from phiserve.engine.interface import Admission, Delta, EngineClient, Generation, PromptImage
from phiserve.errors import InvalidRequest
from phiserve.load import Load, Place
from phiserve.pages import CountPages
from phiserve.preparation import PreparedImage, PreparedPrompt, PromptPreparer
from phiserve.trace import Trace, step
from phiserve.turns import request_cost
from phiserve.vision.images import ImageService, image_key

ENDLESS_MAX_TOKENS = 1024
"""Tokens of an answer that may be any JSON object, where neither request nor settings bound it.

A weak model does not end it: of five recorded ones, four went on to the end of the context.
"""

OPEN_MAX_TOKENS = 4096
"""The same of an answer whose form, or whose calls, may go on for ever, as in a text without `maxLength`."""


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """A request that has passed every check before the engine.

    It does not hold the conversation, which may be large. Its `place` is free again when its deltas have
    ended, or nobody holds it any more.
    """

    id: str
    prompt: PreparedPrompt
    admission: Admission
    place: Place
    cache_salt: str | None = None
    deadline: Deadline | None = None
    trace: Trace | None = None
    is_sent_once: bool = False


class Pipeline:
    """Turns requests into deltas. Holds the parts; each request's state is in `PreparedRequest`."""

    def __init__(
        self,
        engine: EngineClient,
        preparer: PromptPreparer,
        images: ImageService,
        load: Load,
        max_choices: int,
        default_max_tokens: int | None = None,
    ) -> None:
        self._engine = engine
        self._preparer = preparer
        self._images = images
        self._load = load
        self._max_choices = max_choices
        self._default_max_tokens = default_max_tokens

    @property
    def interactive_waits(self) -> bool:
        """Whether requests that somebody waits for are waiting to run: no batch work should begin now."""
        return self._load.interactive_waits

    @property
    def is_idle(self) -> bool:
        """Whether no request at all is unfinished."""
        return self._load.is_empty

    async def prepare(
        self,
        request: GenerationRequest,
        trace: Trace | None = None,
        count_pages: CountPages | None = None,
    ) -> PreparedRequest:
        """Everything before the engine's work, cheapest checks first.

        Whether the engine would take the request at all, whether there is room for it, then the prompt.
        `count_pages` is told of the pages of files as soon as they are known, and may raise.
        Raises InvalidRequest, InvalidImage, ContextLengthExceeded, Overloaded, EngineUnavailable or
        DeadlineExceeded.
        """
        deadline = None if request.deadline_s is None else Deadline(request.deadline_s)
        if request.num_choices > self._max_choices:
            reason = f"this server gives at most {self._max_choices} choices (max_choices)"
            raise InvalidRequest(reason, param="n")
        admission = await self._engine.admit(request)
        place = self._load.enter(request.line, admission.sequences)
        try:
            with step(trace, "prepare prompt"):
                prompt = await self._prompt(request, deadline, count_pages)
        except BaseException:
            place.leave()
            raise
        place.cost = request_cost(len(prompt.ids), prompt.max_tokens) * admission.sequences
        return PreparedRequest(
            request.id,
            prompt,
            admission,
            place,
            request.cache_salt,
            deadline,
            trace,
            request.is_sent_once,
        )

    async def prepare_all(
        self, requests: Sequence[GenerationRequest], trace: Trace | None = None
    ) -> list[PreparedRequest]:
        """The prompts of one request: all of them, or none where one is refused. Raises as `prepare`.

        Others have their turns in between. More choices than there ever is room for are an InvalidRequest.
        """
        prepared: list[PreparedRequest] = []
        try:
            for request in requests:
                prepared.append(one := await self.prepare(request, trace))
                self._load.check(one.admission.sequences * len(requests), "prompt")
                await asyncio.sleep(0)
        except BaseException:
            for one in prepared:
                one.place.leave()  # rather than when nothing holds it any more
            raise
        return prepared

    async def _prompt(
        self, request: GenerationRequest, deadline: Deadline | None, count_pages: CountPages | None
    ) -> PreparedPrompt:
        stops = request.stops
        preparing = self._preparer.prepare(
            request.conversation,
            self._max_tokens(request),
            request.cache_salt,
            request.line,
            stops.min_tokens,
            count_pages,
        )
        prompt = await (preparing if deadline is None else deadline.bound(preparing))
        if stops.min_tokens > prompt.max_tokens:
            reason = f"the context leaves room for {prompt.max_tokens} tokens"
            raise InvalidRequest(reason, param="min_tokens")
        return prompt

    def _max_tokens(self, request: GenerationRequest) -> int | None:
        """Most tokens of the answer: as the request says or, where it doesn't, as the settings do.

        None leaves it what the context leaves.
        """
        if request.stops.max_tokens is not None:
            return request.stops.max_tokens
        default = self._default_max_tokens
        if default is None and request.constraint is not None:
            default = _most_of(request.constraint)
        return None if default is None else max(default, request.stops.min_tokens)

    def deltas(self, prepared: PreparedRequest) -> AsyncGenerator[Delta, None]:
        """Run a prepared request. Closing the generator aborts it.

        Raises as `EngineClient.generate`, InvalidImage and DeadlineExceeded.
        """
        prompt = prepared.prompt
        images = tuple(prompt_image(self._images, image, prepared.trace) for image in prompt.images)
        deltas = self._engine.generate(
            Generation(
                prepared.id,
                prompt.ids,
                images,
                prepared.admission,
                prompt.max_tokens,
                prepared.cache_salt,
                prepared.place.line,
                trace_headers=None if prepared.trace is None else prepared.trace.headers,
                is_sent_once=prepared.is_sent_once,
            )
        )
        if prepared.deadline is not None:
            deltas = prepared.deadline.bound_each(deltas)
        return _until_it_leaves(prepared.place, deltas)


def prompt_image(images: ImageService, image: PreparedImage, trace: Trace | None) -> PromptImage:
    """A prepared image with the way to its pixels, which are decoded when the engine lacks them."""
    load = partial(images.crops, image.encoded, image.plan)
    return PromptImage(
        key=image_key(image.encoded.digest, image.plan),
        plan=image.plan,
        offset=image.offset,
        load=load if trace is None else trace.timed("decode image", load),
    )


def _most_of(constraint: Constraint) -> int | None:
    """Tokens of an answer of unstated length; None where its form says how long it may become."""
    if constraint.is_endless:
        return ENDLESS_MAX_TOKENS
    return OPEN_MAX_TOKENS if constraint.is_open else None


async def _until_it_leaves(place: Place, deltas: AsyncGenerator[Delta, None]) -> AsyncGenerator[Delta, None]:
    """The same deltas; when they have ended, in whatever way, the place is free."""
    try:
        async with aclosing(deltas):
            async for delta in deltas:
                yield delta
            place.leave(done=True)
    finally:
        place.leave()
