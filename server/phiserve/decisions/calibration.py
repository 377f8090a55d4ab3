"""Fits temperatures to labelled examples, and tells how good probabilities are.

Guo et al., "On Calibration of Modern Neural Networks" (2017): one temperature is nearly as good as more.
Platt, "Probabilistic Outputs for Support Vector Machines" (1999): what is fitted to is never quite certain,
since a model that was right n times may be wrong the next time.
"""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from phiserve.decisions.figures import normalised
from phiserve.decisions.questions import Kind
from phiserve.decisions.temperatures import Temperatures

LEAST_EXAMPLES = 100
"""A number of options with fewer examples gets the temperature of all questions of its kind."""

FEWEST_EXAMPLES = 20
"""Of a kind, from which a temperature is fitted: fewer tell next to nothing."""

NUM_BINS = 10
"""Of equal width, by the likeliest option's probability."""

MOST_SURPRISING = 700.0
"""An option that cannot be is as surprising as floating point can say."""

_Key = TypeVar("_Key", bound=Hashable)

_HOTTEST = math.log(100.0)
_STEPS = 80


@dataclass(frozen=True, slots=True)
class Example:
    """A question that was answered: logarithms of its options' probabilities before any temperature.

    `answer`: the index of the option that is right.
    """

    kind: Kind
    logs: tuple[float, ...]
    answer: int

    def probabilities(self, temperature: float) -> tuple[float, ...]:
        """Its options' probabilities at a temperature."""
        return normalised([value / temperature for value in self.logs])


@dataclass(frozen=True, slots=True)
class Bin:
    """Examples whose likeliest option has about the same probability: its mean, how often it was right."""

    count: int
    probability: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Quality:
    """How good probabilities are, of `count` examples.

    `accuracy`: how often the likeliest option is right. `calibration_error` (ECE): how far its probability is
    from that, the mean over bins by their size. `brier`: the mean squared distance of all probabilities from
    0 and 1, summed over options; 0 is best, 2 worst.
    """

    count: int
    accuracy: float
    calibration_error: float
    brier: float
    bins: tuple[Bin, ...]


def fit(examples: Sequence[Example], whole: Sequence[Example] | None = None) -> Temperatures:
    """The temperatures at which the examples are likeliest, by kind and number of options.

    None for a kind with too few examples. Where `examples` are a part of a `whole`, that decides which
    temperatures there are: the same as of the whole, but for a kind of which the part has none.
    """
    by_kind: dict[Kind, dict[int, float]] = {}
    parts = _grouped(examples, _kind)
    for kind, of_kind in _grouped(examples if whole is None else whole, _kind).items():
        part = parts.get(kind)
        if part is None or len(of_kind) < FEWEST_EXAMPLES:
            continue
        of_part, by_number = fit_one(part), _grouped(part, _number)
        by_kind[kind] = {
            number: fit_one(by_number.get(number, part)) if len(group) >= LEAST_EXAMPLES else of_part
            for number, group in sorted(_grouped(of_kind, _number).items())
        }
    return Temperatures(by_kind)


def fit_one(examples: Sequence[Example]) -> float:
    """One temperature for all, from a hundredth to a hundred.

    Their likelihood has one peak in it, which is found by thirds. As if to one example more, each of its
    options had been right in equal parts: where all n are answered rightly, the temperature is one at which
    about one in n would not be.
    """
    width = max(len(example.logs) for example in examples)
    rows = [(*example.logs, *[-math.inf] * (width - len(example.logs))) for example in examples]
    logs, answers = np.array(rows), np.array([example.answer for example in examples])
    low, high = -_HOTTEST, _HOTTEST
    for _ in range(_STEPS):
        third = (high - low) / 3
        lower, upper = (_surprise(logs, answers, math.exp(at)) for at in (low + third, high - third))
        if lower < upper:
            high -= third
        else:
            low += third
    return round(math.exp((low + high) / 2), 4)


def quality(examples: Sequence[Example], temperatures: Temperatures) -> Quality:
    """How good the probabilities are at these temperatures. `examples` are not empty."""
    seen: list[tuple[float, bool]] = []
    brier = 0.0
    for example in examples:
        temperature = temperatures.of(example.kind, len(example.logs))
        probabilities = example.probabilities(temperature)
        likeliest = max(probabilities)
        seen.append((likeliest, probabilities.index(likeliest) == example.answer))
        brier += sum((value - (index == example.answer)) ** 2 for index, value in enumerate(probabilities))
    bins = _bins(seen)
    error = sum(one.count * abs(one.probability - one.accuracy) for one in bins) / len(seen)
    accuracy = sum(right for _, right in seen) / len(seen)
    return Quality(len(seen), accuracy, error, brier / len(seen), bins)


def _bins(seen: Iterable[tuple[float, bool]]) -> tuple[Bin, ...]:
    binned: dict[int, list[tuple[float, bool]]] = {}
    for probability, right in seen:
        binned.setdefault(min(NUM_BINS - 1, int(probability * NUM_BINS)), []).append((probability, right))
    return tuple(
        Bin(len(one), sum(value for value, _ in one) / len(one), sum(right for _, right in one) / len(one))
        for _, one in sorted(binned.items())
    )


def _surprise(logs: NDArray[np.float64], answers: NDArray[np.intp], temperature: float) -> float:
    """Minus the logarithm of the right options' probabilities: its sum, and its mean over all options.

    `logs` (examples, options) are padded with minus infinity.
    """
    scaled = logs / temperature
    total = np.logaddexp.reduce(scaled, axis=1, keepdims=True)
    surprises = np.minimum(total - scaled, MOST_SURPRISING)
    right = surprises[np.arange(len(answers)), answers]
    return float(np.sum(right) + np.mean(surprises[np.isfinite(logs)]))


def _kind(example: Example) -> Kind:
    return example.kind


def _number(example: Example) -> int:
    """Of its options."""
    return len(example.logs)


def _grouped(examples: Sequence[Example], key: Callable[[Example], _Key]) -> dict[_Key, list[Example]]:
    groups: dict[_Key, list[Example]] = {}
    for example in examples:
        groups.setdefault(key(example), []).append(example)
    return groups
