"""The arithmetic of measurements: percentiles, medians with their spread, and how a cost grows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Spread:
    """Repeated measurements of one thing, in its own unit."""

    median: float
    least: float
    most: float
    count: int


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` (0 to 100) of all lie; between neighbours by proportion. Raises
    ValueError if none.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    rank = (len(ordered) - 1) * percent / 100
    below = math.floor(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (rank - below)


def spread(values: Sequence[float]) -> Spread:
    """Median, least and most. Raises ValueError if there are none."""
    return Spread(percentile(values, 50), min(values), max(values), len(values))


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The k of cost ~ size^k, fitted by least squares on logarithms: 1 is linear, 2 quadratic, 0 no growth.

    Raises ValueError unless there are two different sizes and all numbers are positive.
    """
    if len(set(sizes)) < 2 or min(*sizes, *costs) <= 0:
        raise ValueError("two different sizes are needed, and positive numbers")
    logs = [(math.log(size), math.log(cost)) for size, cost in zip(sizes, costs, strict=True)]
    mean_x = sum(x for x, _ in logs) / len(logs)
    mean_y = sum(y for _, y in logs) / len(logs)
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)


def local_exponents(sizes: Sequence[float], costs: Sequence[float]) -> list[float]:
    """The k between neighbouring sizes, smallest first: a quadratic that only begins at the end shows in the
    last one.
    """
    points = sorted(zip(sizes, costs, strict=True))
    return [exponent((small[0], large[0]), (small[1], large[1])) for small, large in pairwise(points)]
