"""Figures of answers: by the formulas that published answers fit, and never outside their bounds."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phiserve.decisions.figures import (
    Reading,
    calibrated,
    choice_confidence,
    joined,
    normalised,
    rounded,
    score,
    score_confidence,
    shown,
)

Logprobs = st.lists(st.floats(-50, 0), min_size=2, max_size=255)


def test_softmax_over_the_labels() -> None:
    """Whatever else the vocabulary holds."""
    assert normalised([math.log(0.3), math.log(0.1)]) == pytest.approx((0.75, 0.25))
    assert normalised([-math.inf, -1.0]) == (0.0, 1.0)
    assert normalised([-math.inf, -math.inf]) == (0.5, 0.5)


def test_orders_are_joined_as_logarithms() -> None:
    """The geometric mean of two looks, made to add up to 1."""
    readings = [Reading((math.log(0.8), math.log(0.2))), Reading((math.log(0.5), math.log(0.5)))]
    first = math.sqrt(0.8 * 0.5)
    second = math.sqrt(0.2 * 0.5)
    expected = (first / (first + second), second / (first + second))
    assert normalised(joined(readings)) == pytest.approx(expected)


def test_a_temperature_makes_less_sure() -> None:
    """Two halves the difference of the logarithms."""
    logs = joined([Reading((-0.1, -2.1))])
    (sure, _), (less, _) = (calibrated(logs, temperature) for temperature in (1.0, 2.0))
    assert math.log(sure / (1 - sure)) == pytest.approx(2.0)
    assert math.log(less / (1 - less)) == pytest.approx(1.0)


def test_mass() -> None:
    """The labels' share of the whole vocabulary."""
    assert Reading((math.log(0.3), math.log(0.1))).mass == pytest.approx(0.4)


@given(Logprobs)
def test_what_is_shown_adds_up_to_one(logprobs: list[float]) -> None:
    """Exactly, in hundredths, each within one of them of what it was."""
    exact = normalised(logprobs)
    figures = shown(exact)
    assert sum(Fraction(figure).limit_denominator(100) for figure in figures) == 1
    assert all(0 <= figure <= 1 for figure in figures)
    assert all(abs(figure - value) < 0.0100001 for figure, value in zip(figures, exact, strict=True))


def test_the_largest_remainders_are_rounded_up() -> None:
    """The earlier option where they are equal."""
    assert shown((1 / 3, 1 / 3, 1 / 3)) == (0.34, 0.33, 0.33)
    assert shown((0.125, 0.875)) == (0.13, 0.87)
    assert shown((1.0, 0.0)) == (1.0, 0.0)


@pytest.mark.parametrize(("p", "confidence"), [((0.05, 0.95), 0.9), ((0.2, 0.8), 0.6), ((0.5, 0.5), 0.0)])
def test_confidence_of_choices(p: tuple[float, ...], confidence: float) -> None:
    """As published answers have it."""
    assert rounded(choice_confidence(p)) == confidence


@pytest.mark.parametrize(
    ("p", "value", "confidence"),
    [
        ((0, 0.75, 0.25), 1.25, 0.63),
        ((0.97, 0.03, 0), 0.03, 0.96),
        ((0, 0.97, 0.03), 1.03, 0.96),
        ((0.2, 0.8), 0.8, 0.6),
    ],
)
def test_scores(p: tuple[float, ...], value: float, confidence: float) -> None:
    """As published answers have it."""
    assert rounded(score(p)) == value
    assert rounded(score_confidence(p)) == confidence


@given(Logprobs)
def test_confidences_stay_within_their_bounds(logprobs: list[float]) -> None:
    """Whatever floating point makes of them."""
    exact = normalised(logprobs)
    assert 0 <= choice_confidence(exact) <= 1
    assert 0 <= score_confidence(exact) <= 1
    assert 0 <= score(exact) <= len(exact) - 1 + 1e-9


@pytest.mark.parametrize(("value", "expected"), [(0.625, 0.63), (0.005, 0.01), (0.0049, 0.0), (1.0, 1.0)])
def test_halves_are_rounded_up(value: float, expected: float) -> None:
    """Python's own rounding takes the even neighbour."""
    assert rounded(value) == expected
