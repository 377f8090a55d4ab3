"""Constrained answers inside vLLM's engine: llguidance's masks, and an error wherever one can't be held.

vLLM's own backend for llguidance logs a constraint that does not compile, or that grows too costly in
mid-answer, and lets the model end the answer there: the client gets half an answer as if it were whole. It
knows one end token of four as well.
"""

import logging
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer, hf
from llguidance.torch import fill_next_token_bitmask
from transformers import PreTrainedTokenizerFast
from vllm.v1.structured_output.backend_guidance import GuidanceBackend
from vllm.v1.structured_output.backend_types import StructuredOutputGrammar, StructuredOutputOptions
from vllm.v1.structured_output.utils import strip_speculative_padding

from phiserve.chat.special_tokens import STOP_TOKEN_IDS, Control
from phiserve.constraints.digits import DigitCount, json_opening
from phiserve.constraints.limits import LIMITS

_LOG = logging.getLogger(__name__)

END_TOKEN_IDS = (
    Control.ENDOFTEXT,
    *(token_id for token_id in STOP_TOKEN_IDS if token_id != Control.ENDOFTEXT),
)
"""Ids that may end a constrained answer; the first is what llguidance takes for the end of any text."""


class UncompiledConstraint(ValueError):
    """llguidance refuses a constraint."""


class EnforcingBackend(GuidanceBackend):
    """Compiles constraints in vLLM's engine. One that does not compile fails its request alone."""

    @staticmethod
    def _build_ll_tokenizer(tokenizer: PreTrainedTokenizerFast, vocab_size: int) -> LLTokenizer:
        end_ids = [int(token_id) for token_id in END_TOKEN_IDS]
        return hf.from_tokenizer(tokenizer, max(vocab_size, len(tokenizer)), eos_token=end_ids)

    def compile_grammar(
        self,
        request_type: StructuredOutputOptions,
        grammar_spec: str,
        stop_token_ids: set[int] | None = None,
    ) -> "EnforcedGrammar":
        """A matcher of its own for each request. Raises UncompiledConstraint.

        Copies of one matcher would be made faster, but share its lexer, and with it the error of one that has
        become too costly.
        """
        if request_type is not StructuredOutputOptions.GRAMMAR:
            raise UncompiledConstraint(f"constraints are written as grammars, not as {request_type.name}")
        matcher = LLMatcher(self.ll_tokenizer, grammar_spec, log_level=0, limits=LIMITS)
        if matcher.is_error():
            raise UncompiledConstraint(_first_line(matcher.get_error()))
        opening = json_opening(grammar_spec)
        if opening is None:
            return EnforcedGrammar(matcher)
        return EnforcedGrammar(matcher, JsonDigits(DigitCount(opening), self.ll_tokenizer, self._others))

    @cached_property
    def _others(self) -> torch.Tensor:
        """A mask of all tokens but those that begin with a digit."""
        texts = (self.ll_tokenizer.decode_bytes([token]) for token in range(self.vocab_size))
        begins = np.fromiter((not text[:1].isdigit() for text in texts), bool, self.vocab_size)
        words = np.packbits(np.pad(begins, (0, -self.vocab_size % 32)), bitorder="little")
        return torch.from_numpy(words.view(np.int32))


@dataclass
class JsonDigits:
    """Keeps numbers from going on for ever. `others`: a mask of the tokens that do not begin with a digit."""

    count: DigitCount
    tokenizer: LLTokenizer
    others: torch.Tensor

    def feed(self, token: int) -> None:
        """Go on by a token."""
        self.count.feed(self.tokenizer.decode_bytes([token]))

    def narrow(self, mask: torch.Tensor) -> None:
        """Leave out digits where there are enough, unless nothing else fits (a multiple of something)."""
        if self.count.is_full and (narrowed := mask & self.others).any():
            mask.copy_(narrowed)


@dataclass
class EnforcedGrammar(StructuredOutputGrammar):
    """One answer's place in its constraint.

    `ends` counts the end tokens that came after the matcher had stopped by itself, of which it knows nothing.
    """

    matcher: LLMatcher
    digits: JsonDigits | None = None
    ends: int = 0

    def accept_tokens(self, request_id: str, tokens: list[int]) -> bool:
        """Go on by tokens that were chosen.

        False fails the request: the matcher is in error, or a token does not fit.
        """
        return all(self._accepts(request_id, token) for token in tokens)

    def _accepts(self, request_id: str, token: int) -> bool:
        # To a matcher in error, an end token is as good as to one that has reached its end.
        if not self.matcher.is_error():
            if self.matcher.is_stopped():
                self.ends += 1
                return token in END_TOKEN_IDS
            if self.matcher.consume_token(token):
                if self.digits is not None:
                    self.digits.feed(token)
                return True
        _LOG.warning("Constraint of %s: %s", request_id, _first_line(self.matcher.get_error()))
        return False

    def validate_tokens(self, tokens: list[int]) -> list[int]:
        """The longest prefix of these tokens that fits; nothing is accepted."""
        drafts: list[int] = strip_speculative_padding(tokens)
        if not drafts or self.matcher.is_stopped():
            return []
        return drafts[: self.matcher.validate_tokens(drafts)]

    def rollback(self, num_tokens: int) -> None:
        """Go back by the last tokens that were accepted."""
        ends = min(num_tokens, self.ends)
        self.ends -= ends
        self.matcher.rollback(num_tokens - ends)
        if self.digits is not None:
            self.digits.count.rollback(num_tokens - ends)

    def fill_bitmask(self, bitmask: torch.Tensor, batch_index: int) -> None:
        """Mark the tokens that fit.

        After the end, and in error, these are the end tokens; in error, `accept_tokens` then refuses
        whichever is chosen.
        """
        fill_next_token_bitmask(self.matcher, bitmask, batch_index)
        if self.digits is not None:
            self.digits.narrow(bitmask[batch_index])

    def is_terminated(self) -> bool:
        """Never, as vLLM sees it: it would let any token follow."""
        return False

    def reset(self) -> None:
        """Go back to the start."""
        self.ends = 0
        self.matcher.reset()
        if self.digits is not None:
            self.digits.count.reset()


def _first_line(error: str) -> str:
    return error.partition("\n")[0]
