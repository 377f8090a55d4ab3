"""Several prompts of one request: taken together or not at all, answered at once, counted as one request."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from msgspec.structs import replace

from phiserve.access.visit import Visit
from phiserve.answer import Answer, VisibleDelta
from phiserve.api.answering import Deltas
from phiserve.api.request_log import RequestRecord
from phiserve.api.services import Services
from phiserve.chat.special_tokens import ADDED_TOKENS
from phiserve.core import GenerationRequest, TokenCounts
from phiserve.engine.interface import Delta
from phiserve.preparation import PreparedPrompt


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers to all prompts, of `num_choices` choices each.

    Choices are numbered through, those of the first prompt first.
    """

    answers: tuple[Answer, ...]
    num_choices: int

    def prompt_ids(self, index: int) -> list[int]:
        """The prompt that a choice answers."""
        return self.answers[index // self.num_choices].prompt_ids

    def feed(self, delta: Delta) -> VisibleDelta:
        """Take in one delta."""
        return self.answers[delta.index // self.num_choices].feed(delta)

    @property
    def began_at(self) -> float | None:
        """When the first delta of all came, by `time.monotonic()`."""
        return min((answer.began_at for answer in self.answers if answer.began_at is not None), default=None)

    def counts(self) -> TokenCounts:
        """Counts so far, each prompt's once."""
        counts = [answer.counts() for answer in self.answers]
        return TokenCounts(
            prompt=sum(count.prompt for count in counts),
            completion=sum(count.completion for count in counts),
            cached=sum(count.cached for count in counts),
            image=0,
        )


async def begin_answers(
    services: Services, inners: Sequence[GenerationRequest], visit: Visit, record: RequestRecord
) -> tuple[Answers, Deltas]:
    """Prepare raw prompts, which differ in nothing else, and count them against their key's limits.

    As `answering.begin_answer` does for one conversation. Close the deltas to abort all.
    """
    first = inners[0]
    record.stream, record.images = first.stream, 0
    prepared = await services.pipeline.prepare_all(inners, record.trace)
    try:
        await visit.take_prompt(sum(len(one.prompt.ids) for one in prepared), "prompt")
    except BaseException:
        for one in prepared:
            one.place.leave()  # rather than when nothing holds it any more
        raise
    parts = tuple(_answer(services, one.prompt, inner) for one, inner in zip(prepared, inners, strict=True))
    answers = Answers(parts, first.num_choices)
    visit.answering(answers.counts)
    record.sent(answers)
    return answers, merged([services.pipeline.deltas(one) for one in prepared], first.num_choices)


def _answer(services: Services, prompt: PreparedPrompt, inner: GenerationRequest) -> Answer:
    """An answer that goes on with the prompt's text, if it has any."""
    has_text = any(token_id not in ADDED_TOKENS for token_id in prompt.ids)
    echo = ""
    if inner.echo:
        echo = inner.conversation.text_before or services.vocabulary.text_of(prompt.ids)
    return Answer(
        prompt.ids, 0, services.vocabulary, inner.top_logprobs, keeps_first_space=has_text, echo=echo
    )


async def merged(sources: Sequence[Deltas], num_choices: int) -> Deltas:
    """The deltas of all sources as they come, with their choices numbered through.

    Where one fails all end, and its error is raised. Closing the generator closes them.
    """
    upcoming = {asyncio.ensure_future(anext(source, None)): at for at, source in enumerate(sources)}
    try:
        while upcoming:
            done, _ = await asyncio.wait(upcoming, return_when=asyncio.FIRST_COMPLETED)
            for at, step in sorted(((upcoming[step], step) for step in done), key=itemgetter(0)):
                delta = step.result()
                del upcoming[step]
                if delta is not None:
                    yield replace(delta, index=at * num_choices + delta.index)
                    upcoming[asyncio.ensure_future(anext(sources[at], None))] = at
    finally:
        for step in upcoming:
            step.cancel()
        await asyncio.gather(*upcoming, return_exceptions=True)
        for source in sources:
            await source.aclose()
