"""The answer to a request for decisions."""

from msgspec import UNSET, Struct, UnsetType

from phiserve.core import TokenCounts


class Diagnostics(Struct, frozen=True):
    """What the figures were made of; an extension of this server.

    `label_mass`: how much of the whole vocabulary's probability the options' labels hold. `probabilities`:
    unrounded, in the options' order. `logprobs`: their logarithms before `temperature`, which calibrated
    them; null is minus infinity. `orders`: in how many orders the options were shown. `flips`: how many of
    these had another favourite than the first.
    """

    label_mass: float
    probabilities: list[float]
    logprobs: list[float | None]
    orders: int
    flips: int
    temperature: float


class _Answer(Struct, frozen=True, tag_field="type", kw_only=True):
    """What answers of all types have; `name` is the question's."""

    name: str | None
    diagnostics: Diagnostics | UnsetType = UNSET


class PredicateAnswer(_Answer, frozen=True, tag="predicate", kw_only=True):
    """How likely it is that the statement is true."""

    probability: float


class ChoiceProbability(Struct, frozen=True):
    """One value of a choice."""

    value: str | bool
    probability: float


class ChoiceAnswer(_Answer, frozen=True, tag="choice", kw_only=True):
    """The most likely value, and how likely each is, in the request's order."""

    choice: str | bool
    probabilities: list[ChoiceProbability]
    confidence: float


class LevelProbability(Struct, frozen=True):
    """One level of a score; `value` counts levels from 0."""

    value: int
    label: str
    probability: float


class ScoreAnswer(_Answer, frozen=True, tag="score", kw_only=True):
    """The expected level, and how likely each is."""

    score: float
    probabilities: list[LevelProbability]
    confidence: float


class RefusalAnswer(_Answer, frozen=True, tag="refusal", kw_only=True):
    """The model would rather have said something else than any option."""


Answer = PredicateAnswer | ChoiceAnswer | ScoreAnswer | RefusalAnswer


class InputDetails(Struct, frozen=True):
    """Of the input's tokens. What is written to the cache is nothing that anybody pays for: not counted."""

    cached_tokens: int
    cache_write_tokens: int = 0


class OutputDetails(Struct, frozen=True):
    """Of the output's tokens, which there are none of."""

    reasoning_tokens: int = 0


class DecisionUsage(Struct, frozen=True):
    """Exact counts: the shared input once, and each question's own tokens. Nothing is written."""

    input_tokens: int
    input_tokens_details: InputDetails
    total_tokens: int
    output_tokens: int = 0
    output_tokens_details: OutputDetails = OutputDetails()

    @classmethod
    def of(cls, counts: TokenCounts) -> "DecisionUsage":
        """OpenAI's keys for these counts."""
        return cls(counts.prompt, InputDetails(counts.cached), counts.prompt)


class Decision(Struct, frozen=True):
    """All answers, in the questions' order."""

    model: str
    answers: list[Answer]
    usage: DecisionUsage
