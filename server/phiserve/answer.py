"""Deltas -> what a client sees of them: text, log-probabilities, counts.

The state of one answer, shared by every surface.
"""

import codecs
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from phiserve.chat.special_tokens import ADDED_TOKENS
from phiserve.chat.vocabulary import Vocabulary
from phiserve.core import FinishReason, TokenCounts, TokenLogprob, TopLogprob
from phiserve.engine.interface import Candidate, Delta, Position

_UTF8 = codecs.getincrementaldecoder("utf-8")


@dataclass(slots=True)
class _ChoiceState:
    """One choice so far.

    `shown` and `read`: characters of the text, and of the tokens. `waiting`: log-probabilities of tokens
    whose text is still to come, each with the number of characters before it.
    """

    text_started: bool = False
    tokens_started: bool = False
    num_tokens: int = 0
    cached_tokens: int = 0
    shown: int = 0
    read: int = 0
    waiting: list[tuple[int, TokenLogprob]] = field(default_factory=list)
    decoder: codecs.IncrementalDecoder = field(default_factory=lambda: _UTF8("replace"))

    def wait(self, logprob: TokenLogprob) -> None:
        """Take in the log-probability of the next token."""
        self.waiting.append((self.read, logprob))
        self.read += len(self.decoder.decode(bytes(logprob.bytes)))

    def listed(self, finish_reason: FinishReason | None) -> list[TokenLogprob]:
        """Those of the tokens whose text has begun to be shown.

        An answer that was stopped never shows the others'; one that was cut off has them all the same, though
        they may be the first bytes of a character.
        """
        end = self.read + 1 if finish_reason not in (None, "stop") else self.shown
        listed = [logprob for start, logprob in self.waiting if start < end]
        del self.waiting[: len(listed)]
        return listed


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
    content. Where the answer goes on with the prompt's text, or is held to a form that asks for the space
    (`keeps_first_space`), it belongs to the text. Control tokens, and those of a stop string that is cut off,
    are counted, and are not in `logprobs`. `echo` is text of the prompt's that each choice begins with; it
    has no log-probabilities.
    """

    prompt_ids: list[int]
    image_tokens: int
    vocabulary: Vocabulary
    top_logprobs: int | None = None
    began_at: float | None = None
    keeps_first_space: bool = False
    echo: str = ""
    _choices: dict[int, _ChoiceState] = field(default_factory=dict)

    def feed(self, delta: Delta) -> VisibleDelta:
        """Take in one delta."""
        state = self._choices.get(delta.index)
        echo = self.echo if state is None else ""
        if state is None:
            self.began_at = self.began_at or time.monotonic()
            begun = self.keeps_first_space
            state = self._choices[delta.index] = _ChoiceState(begun, begun)
        text = delta.text
        if text and not state.text_started:
            state.text_started = True
            text = text.removeprefix(" ")
        state.shown += len(text)
        logprobs = None
        if delta.positions is not None:
            self._read(delta.positions, state)
            logprobs = state.listed(delta.finish_reason)
        state.tokens_started = state.tokens_started or bool(delta.token_ids)
        state.num_tokens += len(delta.token_ids)
        state.cached_tokens = max(state.cached_tokens, delta.cached_tokens)
        return VisibleDelta(delta.index, echo + text, logprobs, delta.token_ids, delta.finish_reason)

    def counts(self) -> TokenCounts:
        """Counts so far; cached tokens are the engine's own count."""
        return TokenCounts(
            prompt=len(self.prompt_ids),
            completion=sum(state.num_tokens for state in self._choices.values()),
            cached=max((state.cached_tokens for state in self._choices.values()), default=0),
            image=self.image_tokens,
        )

    def _read(self, positions: Sequence[Position], state: _ChoiceState) -> None:
        wanted = self.top_logprobs or 0
        for number, position in enumerate(positions):
            if position.chosen.token_id in ADDED_TOKENS:
                continue
            strip = number == 0 and not state.tokens_started
            top = [self._logprob_of(candidate, strip) for candidate in position.top[:wanted]]
            chosen = self._logprob_of(position.chosen, strip)
            state.wait(TokenLogprob(chosen.token, chosen.logprob, chosen.bytes, top))

    def _logprob_of(self, candidate: Candidate, strip: bool) -> TopLogprob:
        raw = self.vocabulary.bytes_of(candidate.token_id)
        raw = raw.removeprefix(b" ") if strip else raw
        # OpenAI's value for "very unlikely"; JSON has no infinity
        return TopLogprob(raw.decode("utf-8", "replace"), max(candidate.logprob, -9999.0), list(raw))
