"""Temperatures are found again, and qualities are those of their definitions."""

import math
import random

import pytest

from phiserve.decisions.calibration import Example, Quality, fit, fit_one, quality
from phiserve.decisions.figures import normalised
from phiserve.decisions.questions import Kind
from phiserve.decisions.temperatures import Temperatures

NONE = Temperatures()


def examples(count: int, temperature: float, kind: Kind = "choice", options: int = 4) -> list[Example]:
    """Answers that come as often as the model's logarithms say at this temperature."""
    chance = random.Random(7)
    made = []
    for _ in range(count):
        logs = tuple(math.log(value) for value in normalised([chance.gauss(0, 2) for _ in range(options)]))
        true = normalised([value / temperature for value in logs])
        made.append(Example(kind, logs, chance.choices(range(options), true)[0]))
    return made


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_temperature_is_found_again(temperature: float) -> None:
    """Within what so many examples tell."""
    assert fit_one(examples(3000, temperature)) == pytest.approx(temperature, rel=0.15)


def test_by_kind_and_number_of_options() -> None:
    """A number with few examples gets what its whole kind has."""
    many, few = examples(1000, 3.0, options=5), examples(20, 1.0, options=2)
    fitted = fit([*many, *few, *examples(300, 0.5, kind="predicate", options=2)])
    assert fitted.by_kind.keys() == {"choice", "predicate"}
    assert fitted.by_kind["choice"][5] == fit_one(many)
    assert fitted.by_kind["choice"][2] == fit_one([*many, *few])


@pytest.mark.parametrize("count", [20, 100, 2000])
def test_where_all_are_right(count: int) -> None:
    """A model may be as sure of the next one as so many right answers tell, and not more."""
    right = [Example("predicate", (math.log(0.2), math.log(0.8)), 1)] * count
    temperature = fit(right).of("predicate", 2)
    doubt = right[0].probabilities(temperature)[0]
    assert doubt == pytest.approx(0.5 / (count + 1), rel=0.02)


def test_too_few_teach_nothing() -> None:
    """A kind keeps what the model says."""
    made = [*examples(19, 3.0), *examples(20, 3.0, kind="score")]
    assert fit(made).by_kind.keys() == {"score"}


def test_calibration_mends_what_is_off() -> None:
    """The error falls; which option is likeliest stays as it is."""
    made = examples(3000, 3.0)
    before, after = quality(made, NONE), quality(made, fit(made))
    assert after.calibration_error < 0.03 < before.calibration_error
    assert after.brier < before.brier
    assert after.accuracy == before.accuracy


def test_qualities_are_as_defined() -> None:
    """Two examples by hand: 0.8 and right, 0.6 and wrong."""
    logs = [(math.log(0.8), math.log(0.2)), (math.log(0.4), math.log(0.6))]
    found: Quality = quality([Example("choice", one, 0) for one in logs], NONE)
    assert (found.count, found.accuracy) == (2, 0.5)
    assert found.calibration_error == pytest.approx((0.2 + 0.6) / 2)
    assert found.brier == pytest.approx((2 * 0.2**2 + 2 * 0.6**2) / 2)
    assert [(one.count, one.accuracy) for one in found.bins] == [(1, 0.0), (1, 1.0)]


def test_an_answer_that_cannot_be() -> None:
    """Is as surprising as can be said, and no error."""
    assert fit_one([Example("choice", (0.0, -math.inf), 1)]) > 1
