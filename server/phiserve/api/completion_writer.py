"""Deltas -> completions of prompts, whole or as events.

There is one writer for each request, so that id and time never change within its answer.
"""

import codecs
import time
from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass, field

from msgspec import UNSET, UnsetType

from phiserve.answer import VisibleDelta
from phiserve.api.several_prompts import Answers
from phiserve.core import FinishReason, TokenLogprob, TopLogprob
from phiserve.engine.interface import Delta
from phiserve.protocol.chat_completion import Usage
from phiserve.protocol.completions import CompletionRequest
from phiserve.protocol.events import DONE, event
from phiserve.protocol.text_completion import TextChoice, TextCompletion, TextLogprobs


@dataclass(frozen=True, slots=True)
class CompletionHead:
    """What all parts of one answer share.

    Its id, the served model's name, when it began (seconds since 1970), and which extras were asked for: the
    usage at the end of a stream, the counts so far in all its events, and token ids.
    """

    id: str
    model: str
    with_usage: bool
    with_counts: bool
    with_token_ids: bool
    created: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def of(cls, answer_id: str, model: str, request: CompletionRequest) -> "CompletionHead":
        """Of the answer to a request, which need not live as long."""
        with_token_ids = bool(request.return_token_ids)
        return cls(answer_id, model, request.include_usage, request.continuous_usage, with_token_ids)


class TextOffsets:
    """Where the tokens of one choice begin in its text, which may split a character among tokens."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._offset = 0

    def logprobs(self, tokens: Sequence[TokenLogprob]) -> TextLogprobs:
        """The log-probabilities of further tokens, in OpenAI's older form."""
        offsets = []
        for token in tokens:
            offsets.append(self._offset)
            self._offset += len(self._decoder.decode(bytes(token.bytes)))
        return TextLogprobs(
            tokens=[spelled(token.bytes) for token in tokens],
            token_logprobs=[token.logprob for token in tokens],
            top_logprobs=[_candidates(token) for token in tokens],
            text_offset=offsets,
        )


def spelled(token: Sequence[int]) -> str:
    """A token's bytes as text; those of a part of a character as OpenAI spells them, `bytes:` and escapes."""
    try:
        return bytes(token).decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token)


def _candidates(token: TokenLogprob) -> dict[str, float]:
    """The most likely tokens, best first, and the chosen one; of those that are spelled alike, the best."""
    candidates: dict[str, float] = {}
    chosen = TopLogprob(token.token, token.logprob, token.bytes)
    for candidate in (*token.top_logprobs, chosen):
        candidates.setdefault(spelled(candidate.bytes), candidate.logprob)
    return candidates


class CompletionWriter:
    """Writes the events of one answer: `feed` for each delta, then `end`."""

    def __init__(self, answers: Answers, head: CompletionHead) -> None:
        self._answers = answers
        self._head = head
        self._offsets: dict[int, TextOffsets] = {}

    def feed(self, delta: Delta) -> bytes:
        """The event for one delta; nothing where it brings nothing to see.

        The event in which a choice ends may bring text too.
        """
        visible = self._answers.feed(delta)
        if not (visible.text or visible.token_ids or visible.finish_reason):
            return b""
        is_first = visible.index not in self._offsets
        offsets = self._offsets.setdefault(visible.index, TextOffsets())
        with_ids = self._head.with_token_ids
        choice = TextChoice(
            index=visible.index,
            text=visible.text,
            logprobs=None if visible.logprobs is None else offsets.logprobs(visible.logprobs),
            finish_reason=visible.finish_reason,
            token_ids=list(visible.token_ids) if with_ids else UNSET,
            prompt_token_ids=self._answers.prompt_ids(visible.index) if with_ids and is_first else UNSET,
        )
        return self._event([choice], self._usage() if self._head.with_counts else UNSET)

    def end(self) -> bytes:
        """The event with the usage, if asked for, and the end mark."""
        if not self._head.with_usage:
            return DONE
        return self._event([], self._usage()) + DONE

    def _usage(self) -> Usage:
        return Usage.of(self._answers.counts())

    def _event(self, choices: list[TextChoice], usage: Usage | UnsetType) -> bytes:
        head = self._head
        return event(TextCompletion(head.id, head.created, head.model, choices, usage=usage))


@dataclass(slots=True)
class _Collected:
    """One choice so far."""

    text: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] | None = None
    token_ids: list[int] = field(default_factory=list)
    finish_reason: FinishReason = "stop"

    def add(self, visible: VisibleDelta) -> None:
        """Take in one delta."""
        self.text.append(visible.text)
        self.token_ids += visible.token_ids
        if visible.logprobs is not None:
            self.logprobs = [*(self.logprobs or ()), *visible.logprobs]
        if visible.finish_reason is not None:
            self.finish_reason = visible.finish_reason


async def collect(answers: Answers, deltas: AsyncIterable[Delta], head: CompletionHead) -> TextCompletion:
    """Consume all deltas and build the completion, choices in order."""
    collected: dict[int, _Collected] = {}
    async for delta in deltas:
        collected.setdefault(delta.index, _Collected()).add(answers.feed(delta))
    return TextCompletion(
        id=head.id,
        created=head.created,
        model=head.model,
        choices=[
            TextChoice(
                index=index,
                text="".join(choice.text),
                logprobs=None if choice.logprobs is None else TextOffsets().logprobs(choice.logprobs),
                finish_reason=choice.finish_reason,
                token_ids=choice.token_ids if head.with_token_ids else UNSET,
                prompt_token_ids=answers.prompt_ids(index) if head.with_token_ids else UNSET,
            )
            for index, choice in sorted(collected.items())
        ],
        usage=Usage.of(answers.counts()),
    )
