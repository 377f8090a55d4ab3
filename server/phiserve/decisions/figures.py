"""From log-probabilities of labels to the figures of an answer.

All from unrounded values; only what is shown is rounded. The formulas of score and confidence are those
that OpenAI's published answers fit (docs/decisions.md).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

STEPS = 100
"""Shown probabilities are whole hundredths."""

FINEST = 2**60
"""Parts of 1 in which remainders are compared, in whole numbers: below what a float of about 1 can tell."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look at the labels says: each option's log-probability, in the question's order of options.

    They are of the whole vocabulary, so that their sum is what the labels hold of it.
    """

    logprobs: tuple[float, ...]

    @property
    def mass(self) -> float:
        """How much of the whole vocabulary's probability the labels hold, 0 to 1."""
        return min(1.0, sum(map(math.exp, self.logprobs)))


def normalised(scores: Sequence[float]) -> tuple[float, ...]:
    """Softmax: probabilities in proportion to the exponentials of `scores`, which may be minus infinity.

    Where all are, the options are alike.
    """
    return tuple(map(math.exp, log_normalised(scores)))


def log_normalised(scores: Sequence[float]) -> tuple[float, ...]:
    """Logarithms of the softmax, which stay finite where probabilities would be zero."""
    highest = max(scores)
    if highest == -math.inf:
        return tuple(-math.log(len(scores)) for _ in scores)
    total = highest + math.log(math.fsum(math.exp(score - highest) for score in scores))
    return tuple(score - total for score in scores)


def joined(readings: Sequence[Reading]) -> tuple[float, ...]:
    """Logarithms of the options' probabilities, not calibrated: the mean of all readings'."""
    logs = [log_normalised(reading.logprobs) for reading in readings]
    return log_normalised([math.fsum(values) / len(values) for values in zip(*logs, strict=True)])


def calibrated(logs: Sequence[float], temperature: float) -> tuple[float, ...]:
    """Probabilities of options with these logarithms, at a temperature."""
    return normalised([value / temperature for value in logs])


def shown(probabilities: Sequence[float]) -> tuple[float, ...]:
    """Two decimals each that add up to exactly 1: what is missing goes to the largest remainders.

    Equal remainders: the earlier option first.
    """
    weights = [round(value * FINEST) for value in probabilities]
    total = sum(weights)
    whole, remainders = zip(*(divmod(weight * STEPS, total) for weight in weights), strict=True)
    by_remainder = sorted(range(len(weights)), key=lambda index: -remainders[index])
    hundredths = list(whole)
    for index in by_remainder[: STEPS - sum(whole)]:
        hundredths[index] += 1
    return tuple(value / STEPS for value in hundredths)


def rounded(value: float) -> float:
    """Two decimals, halves upwards; what floating point lacks of a half is made up for."""
    return math.floor(round(value * STEPS, 6) + 0.5) / STEPS


def choice_confidence(probabilities: Sequence[float]) -> float:
    """How concentrated the choice is, 0 to 1: (n p - 1) / (n - 1) for the most likely option's p."""
    count = len(probabilities)
    return clamped((count * max(probabilities) - 1) / (count - 1))


def score(probabilities: Sequence[float]) -> float:
    """The expected level, from 0 to the number of levels less one."""
    return math.fsum(index * value for index, value in enumerate(probabilities))


def score_confidence(probabilities: Sequence[float]) -> float:
    """How concentrated a score is around its most likely level, 0 to 1.

    One minus the mean distance from that level, in units of an even distribution's around its middle.
    """
    count = len(probabilities)
    best = probabilities.index(max(probabilities))
    distance = math.fsum(value * abs(index - best) for index, value in enumerate(probabilities))
    even = math.fsum(abs(index - (count - 1) / 2) for index in range(count)) / count
    return clamped(1 - distance / even)


def clamped(value: float) -> float:
    """Held in 0 to 1: floating point may leave it by a step."""
    return min(1.0, max(0.0, value))
