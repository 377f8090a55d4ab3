"""Deltas -> what a client sees of them: text, log-probabilities, counts.

The state of one answer, shared by every surface.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from phiserve.chat.vocabulary import Vocabulary
from phiserve.core import FinishReason, TokenCounts, TokenLogprob, TopLogprob
from phiserve.engine.interface import Candidate, Delta, Position


@dataclass(slots=True)
class _ChoiceState:
    text_started: bool = False
    tokens_started: bool = False
    num_tokens: int = 0
    cached_tokens: int = 0


class VisibleDelta(Struct, frozen=True):
    """A delta as the client may see it."""

    index: int
    text: str
    logprobs: list[TokenLogprob] | None
    token_ids: Sequence[int]
    finish_reason: FinishReason | None


@dataclass(slots=True)
class Answer:
    """Accumulates one response's deltas and counts.

    `prompt_ids` and `image_tokens` are the prompt's; `top_logprobs` is the number of candidates shown at each
    position, None where no log-probabilities were asked for. `began_at`: when the first delta came, by
    `time.monotonic()`.

    The prefix space of an answer's first token belongs to the tokenizer, not to the text: decoding drops it,
    and so do the text and the first token's bytes here, so that the tokens of `logprobs` still add up to the
    content. Where the answer goes on with the prompt's text (`continues_text`), it belongs to the text.
    """

    prompt_ids: list[int]
    image_tokens: int
    vocabulary: Vocabulary
    top_logprobs: int | None = None
    began_at: float | None = None
    continues_text: bool = False
    _choices: dict[int, _ChoiceState] = field(default_factory=dict)

    def feed(self, delta: Delta) -> VisibleDelta:
        """Take in one delta."""
        state = self._choices.get(delta.index)
        if state is None:
            self.began_at = self.began_at or time.monotonic()
            begun = self.continues_text
            state = self._choices[delta.index] = _ChoiceState(begun, begun)
        text = delta.text
        if text and not state.text_started:
            state.text_started = True
            text = text.removeprefix(" ")
        logprobs = None
        if delta.positions is not None:
            logprobs = self._logprobs(delta.positions, first=not state.tokens_started)
        state.tokens_started = state.tokens_started or bool(delta.token_ids)
        state.num_tokens += len(delta.token_ids)
        state.cached_tokens = max(state.cached_tokens, delta.cached_tokens)
        return VisibleDelta(delta.index, text, logprobs, delta.token_ids, delta.finish_reason)

    def counts(self) -> TokenCounts:
        """Counts so far; cached tokens are the engine's own count."""
        return TokenCounts(
            prompt=len(self.prompt_ids),
            completion=sum(state.num_tokens for state in self._choices.values()),
            cached=max((state.cached_tokens for state in self._choices.values()), default=0),
            image=self.image_tokens,
        )

    def _logprobs(self, positions: Sequence[Position], *, first: bool) -> list[TokenLogprob]:
        wanted = self.top_logprobs or 0
        content = []
        for number, position in enumerate(positions):
            strip = first and number == 0
            top = [self._logprob_of(candidate, strip) for candidate in position.top[:wanted]]
            chosen = self._logprob_of(position.chosen, strip)
            content.append(TokenLogprob(chosen.token, chosen.logprob, chosen.bytes, top))
        return content

    def _logprob_of(self, candidate: Candidate, strip: bool) -> TopLogprob:
        raw = self.vocabulary.bytes_of(candidate.token_id)
        raw = raw.removeprefix(b" ") if strip else raw
        # OpenAI's value for "very unlikely"; JSON has no infinity
        return TopLogprob(raw.decode("utf-8", "replace"), max(candidate.logprob, -9999.0), list(raw))
