"""Percentiles, spreads and exponents are what they are called."""

import numpy as np
import pytest

from benchmarks.figures import Spread, exponent, local_exponents, percentile, spread


@pytest.mark.parametrize("percent", [0, 1, 37, 50, 95, 99, 100])
def test_percentiles_are_numpy_s(percent: float) -> None:
    """Between neighbours by proportion, whatever the order."""
    values = np.random.default_rng(0).permutation(57) ** 1.5
    assert percentile(values.tolist(), percent) == pytest.approx(np.percentile(values, percent))


def test_a_single_value_is_every_percentile() -> None:
    assert [percentile([3.0], percent) for percent in (0, 50, 99)] == [3, 3, 3]


def test_no_values() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_spread() -> None:
    assert spread([4.0, 1.0, 2.0]) == Spread(2, 1, 4, 3)


@pytest.mark.parametrize("power", [0, 0.5, 1, 2, -1])
def test_exponent_of_a_power(power: float) -> None:
    """Whatever the factor before it."""
    sizes = [1.0, 2.0, 5.0, 40.0]
    assert exponent(sizes, [7 * size**power for size in sizes]) == pytest.approx(power)


@pytest.mark.parametrize(("sizes", "costs"), [([2, 2], [1, 3]), ([1, 2], [0, 3]), ([-1, 2], [1, 3])])
def test_exponent_needs_growth_and_positive_numbers(sizes: list[float], costs: list[float]) -> None:
    with pytest.raises(ValueError, match="two different sizes"):
        exponent(sizes, costs)


def test_a_quadratic_that_begins_late_shows_at_the_end() -> None:
    """The fit over all hides it, the last stretch does not."""
    sizes = [1.0, 10.0, 100.0, 1000.0]
    costs = [size + size**2 / 100 for size in sizes]
    assert exponent(sizes, costs) < 1.6
    assert local_exponents(sizes[::-1], costs[::-1])[-1] > 1.7
