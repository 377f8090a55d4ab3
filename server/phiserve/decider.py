"""The life of a request for decisions: one look at what all share, then each question's labels."""

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from itertools import islice

from phiserve.core import (
    GenerationRequest,
    SamplingOptions,
    StopConditions,
    TokenCounts,
)
from phiserve.deadline import Deadline
from phiserve.decisions.figures import Reading, calibrated, joined
from phiserve.decisions.labels import Labels, LabelsUnusable
from phiserve.decisions.off_loop import off_loop
from phiserve.decisions.questions import Kind, Order, Question, orders
from phiserve.decisions.reads import Read, reading_of, reads_of
from phiserve.decisions.request import Decided, DecisionRequest
from phiserve.decisions.temperatures import Temperatures
from phiserve.engine.beginnings import Beginnings
from phiserve.engine.interface import Admission, EngineClient, Generation
from phiserve.errors import EngineEnded, EngineFailure
from phiserve.load import Load, Place
from phiserve.pages import CountPages
from phiserve.pipeline import prompt_image
from phiserve.shared_prompts import Ending, PromptEnd, SharedPreparation, SharedPreparer
from phiserve.trace import Trace, step
from phiserve.turns import request_cost

_LOG = logging.getLogger(__name__)

Logprobs = tuple[float, ...]
"""Of a read's labels, in the order in which its prompt shows the options."""

_MIXED_READS = (
    "vLLM's first model runner would mix up log-probabilities of requests that run together. On a CPU "
    "phiserve's own worker keeps them apart (engine.worker_cls is another), on a GPU vLLM's second runner "
    "(VLLM_USE_V2_MODEL_RUNNER)"
)

SHARE_OF_RUNNING = 2
"""A request reads at most a half of what the engine runs at once: others have their turns."""


@dataclass(slots=True)
class PreparedDecision:
    """A request for decisions that has passed every check before the engine, and how far it has come.

    Its `place` is free again when it has been decided, or nobody holds it any more. `began_at`: when the
    first answer of the engine came, by `time.monotonic()`.
    """

    request: DecisionRequest
    reads: Sequence[Read]
    shared: SharedPreparation
    ends: Sequence[PromptEnd]
    place: Place
    deadline: Deadline | None = None
    trace: Trace | None = None
    began_at: float | None = None
    cached_tokens: int = 0

    def counts(self) -> TokenCounts:
        """The shared input once, and each question's own tokens in one order; no token is written.

        Of what the engine had cached, that of the first read counts: what others find may be of this very
        request.
        """
        plans = [image.plan for image in self.shared.images]
        plans += [plan for end in self.ends for plan in end.plans]
        num_image_tokens = sum(plan.num_tokens for plan in plans)
        return TokenCounts(self.num_tokens, 0, self.cached_tokens, num_image_tokens)

    @property
    def num_images(self) -> int:
        """All images, the pages of files among them: the shared ones, and those of the questions."""
        return len(self.shared.images) + sum(len(end.images) for end in self.ends)

    @property
    def num_tokens(self) -> int:
        """The shared input's tokens once, and each question's own."""
        return self.shared.num_tokens + sum(end.num_tokens for end in self.ends)


class Decider:
    """Decides questions. Holds the parts; each request's state is in `PreparedDecision`.

    `num_orders`: in how many orders the options of each question are shown.
    """

    def __init__(
        self,
        engine: EngineClient,
        preparer: SharedPreparer,
        load: Load,
        labels: Labels,
        num_orders: int,
        temperatures: Temperatures,
    ) -> None:
        self._engine = engine
        self._preparer = preparer
        self._load = load
        self._labels = labels
        self._num_orders = num_orders
        self._temperatures = temperatures

    async def prepare(
        self, request: DecisionRequest, trace: Trace | None = None, count_pages: CountPages | None = None
    ) -> PreparedDecision:
        """Everything before the engine's work, cheapest checks first.

        `count_pages` is told of the pages of files as soon as they are known, and may raise.
        Raises InvalidRequest, InvalidImage, ContextLengthExceeded, Overloaded, EngineUnavailable or
        DeadlineExceeded.
        """
        deadline = None if request.deadline_s is None else Deadline(request.deadline_s)
        first = list(islice(self._reads(request), self._most_at_once))
        await self._admit(request, first[0].ids)
        place = self._load.enter(request.line, len(first))
        preparing = self._prepared(request, count_pages)
        try:
            with step(trace, "prepare prompt"):
                reads, shared, ends = await (preparing if deadline is None else deadline.bound(preparing))
        except BaseException:
            place.leave()
            raise
        prepared = PreparedDecision(request, reads, shared, ends, place, deadline, trace)
        tails = prepared.num_tokens - shared.num_tokens
        place.cost = request_cost(shared.num_tokens + tails * self._num_orders, len(reads))
        return prepared

    async def decide(self, prepared: PreparedDecision) -> list[Decided]:
        """Read all labels. Cancelling it aborts what is being read.

        Raises as `EngineClient.generate`, InvalidImage and DeadlineExceeded.
        """
        deciding = self._outcomes(prepared)
        try:
            outcomes = await (deciding if prepared.deadline is None else prepared.deadline.bound(deciding))
            prepared.place.leave(done=True)
        finally:
            prepared.place.leave()
        num_options = prepared.request.num_options * self._num_orders
        return await off_loop(num_options, partial(self._decided, prepared, outcomes))

    @property
    def _most_at_once(self) -> int:
        return max(1, min(self._load.most, self._engine.limits.running // SHARE_OF_RUNNING))

    def _reads(self, request: DecisionRequest) -> Iterator[Read]:
        return reads_of(request.questions, self._labels, self._num_orders)

    async def _prepared(
        self, request: DecisionRequest, count_pages: CountPages | None
    ) -> tuple[list[Read], SharedPreparation, list[PromptEnd]]:
        """All reads, and what their prompts share and end with."""

        def asked() -> tuple[list[Read], list[Ending]]:
            return list(self._reads(request)), list(map(self._ending, request.questions))

        reads, endings = await off_loop(request.num_options * self._num_orders, asked)
        preparing = self._preparer.prepare(
            request.conversation, endings, request.cache_salt, request.line, count_pages
        )
        return reads, *(await preparing)

    def _ending(self, question: Question) -> Ending:
        """How the prompts of a question go on: each with its options in another order."""
        labels = self._labels.texts[: len(question.options)]
        tails = tuple(question.listed(order, labels) for order in orders(len(labels), self._num_orders))
        return Ending(question.asked(), tails)

    async def _outcomes(self, prepared: PreparedDecision) -> list[Logprobs]:
        """Of all reads, several at once, each after what it shares with others has been computed."""
        reads, beginnings = prepared.reads, Beginnings(prepared.shared.num_tokens, self._engine.limits)
        every = dict.fromkeys(read.ids for read in reads)
        admissions = {ids: await self._admit(prepared.request, ids) for ids in every}
        outcomes: dict[int, Logprobs] = {}
        waiting = iter(range(len(reads)))

        async def work() -> None:
            for number in waiting:
                admission = admissions[reads[number].ids]
                outcomes[number] = await self._outcome(prepared, number, admission, beginnings)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(len(reads), self._most_at_once)):
                    group.create_task(work())
        except BaseExceptionGroup as failures:
            ended = (error for error in failures.exceptions if isinstance(error, EngineEnded))
            raise next(ended, failures.exceptions[0]) from None
        return [outcomes[number] for number in range(len(reads))]

    async def _admit(self, request: DecisionRequest, ids: tuple[int, ...]) -> Admission:
        """What the engine verified of all reads of these labels: the likeliest token, and the labels."""
        return await self._engine.admit(
            GenerationRequest(
                request.id,
                request.conversation,
                SamplingOptions(temperature=0.0),
                StopConditions(max_tokens=1),
                read_token_ids=ids,
                priority=request.priority,
                tenant=request.tenant,
                cache_salt=request.cache_salt,
            )
        )

    async def _outcome(
        self, prepared: PreparedDecision, number: int, admission: Admission, beginnings: Beginnings
    ) -> Logprobs:
        """Ask the engine for one token, and what it thinks of the labels."""
        request, read = prepared.request, prepared.reads[number]
        prompt = self._preparer.prompt(prepared.shared, prepared.ends[read.question], read.number)
        trace = prepared.trace
        images = tuple(prompt_image(self._preparer.images, image, trace) for image in prompt.images)
        turn = beginnings.turn(prompt.ids, images)
        generation = Generation(
            f"{request.id}-{number}",
            prompt.ids,
            images,
            admission,
            prompt.max_tokens,
            request.cache_salt,
            prepared.place.line,
            trace_headers=None if trace is None else trace.headers,
            is_sent_once=request.is_sent_once,
            turn=turn,
        )
        async with aclosing(self._engine.generate(generation)) as deltas:
            async for delta in deltas:
                if delta.positions:
                    turn.end()
                    prepared.began_at = prepared.began_at or time.monotonic()
                    known = {one.token_id: one.logprob for one in delta.positions[0].top}
                    prepared.cached_tokens += delta.cached_tokens if number == 0 else 0
                    return tuple(known[token_id] for token_id in read.ids)
        raise EngineFailure("The engine told nothing of the labels")

    def _decided(self, prepared: PreparedDecision, outcomes: Sequence[Logprobs]) -> list[Decided]:
        questions = prepared.request.questions
        readings: list[dict[Order, list[float]]] = [{} for _ in questions]
        for read, outcome in zip(prepared.reads, outcomes, strict=True):
            readings[read.question].setdefault(read.order, []).extend(outcome)
        return [
            self._decision(
                question.kind, [reading_of(order, logprobs) for order, logprobs in of_orders.items()]
            )
            for question, of_orders in zip(questions, readings, strict=True)
        ]

    def _decision(self, kind: Kind, readings: Sequence[Reading]) -> Decided:
        temperature, logs = self._temperatures.of(kind, len(readings[0].logprobs)), joined(readings)
        favourites = [reading.logprobs.index(max(reading.logprobs)) for reading in readings]
        return Decided(
            calibrated(logs, temperature),
            logs,
            sum(reading.mass for reading in readings) / len(readings),
            len(readings),
            sum(favourite != favourites[0] for favourite in favourites),
            temperature,
        )


@dataclass(frozen=True, slots=True)
class Undecided:
    """Stands for a decider where there can be none; `reason` is a sentence."""

    reason: str


def decider_of(
    engine: EngineClient, preparer: SharedPreparer, load: Load, num_orders: int, temperatures: Temperatures
) -> Decider | Undecided:
    """What decides, or why nothing can, which is logged: the tokenizer, or what runs the model."""
    try:
        labels = Labels.load(preparer.encoder)
    except LabelsUnusable as error:
        return _undecided(str(error))
    if not engine.limits.reads_apart:
        return _undecided(_MIXED_READS)
    return Decider(engine, preparer, load, labels, num_orders, temperatures)


def _undecided(reason: str) -> Undecided:
    _LOG.warning("Decisions are not served: %s", reason)
    return Undecided(reason)
