"""Served in float32 on the golden checkpoint: probabilities of decisions as the reference implementation has
them.

`golden/decisions.json` holds the log-probabilities of the labels that the reference model gave after the same
ids, for each question in each order of its options.
"""

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import httpx
import pytest

from e2e.running import InProcessServer
from e2e.test_fidelity import checkpoint  # noqa: F401 - a fixture
from golden.decision_cases import LOGPROBS, NUM_ORDERS, Body, decision_cases, looks
from phiserve.config import Settings
from phiserve.decisions.figures import Reading, joined, normalised

TOLERANCE = 1e-4
"""Of a probability."""

NUM_CASES = 7


@pytest.fixture(scope="module")
def served(checkpoint: Path) -> Iterator[InProcessServer]:  # noqa: F811 - the fixture
    """The golden checkpoint in float32."""
    settings = Settings(
        model=str(checkpoint),
        served_model_name=("golden",),
        decision_orders=NUM_ORDERS,
        engine={"dtype": "float32"},
    )
    server = InProcessServer(settings)
    yield server
    server.close()


def expected(cases: list[Body], number: int) -> list[list[Reading]]:
    """Readings of a case's questions, in the questions' own order of options."""
    rows = zip(looks(cases), json.loads(LOGPROBS.read_text()), strict=True)
    mine = [(look, row) for look, row in rows if look.case == number]
    readings: list[list[Reading]] = []
    for _, of_question in groupby(mine, key=lambda pair: pair[0].question):
        readings.append([])
        for look, row in of_question:
            by_option = sorted(zip(look.order, row, strict=True))
            readings[-1].append(Reading(tuple(logprob for _, logprob in by_option)))
    return readings


@pytest.mark.parametrize("number", range(NUM_CASES))
def test_same_as_the_reference(served: InProcessServer, golden: Path, number: int) -> None:
    """Every option's probability, and what the labels hold of the whole vocabulary."""
    cases = decision_cases(golden)
    assert len(cases) == NUM_CASES
    body = cases[number] | {"model": "golden", "return_diagnostics": True}
    response = httpx.post(f"{served.url}/v1/decisions", json=body, timeout=300)
    assert response.status_code == 200, response.text
    answers = response.json()["answers"]
    for answer, readings in zip(answers, expected(cases, number), strict=True):
        diagnostics = answer["diagnostics"]
        assert diagnostics["orders"] == len(readings)
        assert diagnostics["probabilities"] == pytest.approx(normalised(joined(readings)), abs=TOLERANCE)
        mass = sum(reading.mass for reading in readings) / len(readings)
        assert diagnostics["label_mass"] == pytest.approx(mass, rel=1e-3)


def test_the_comparison_can_fail(golden: Path) -> None:
    """Options in another order, or another question, move probabilities by far more than the tolerance."""
    cases = decision_cases(golden)
    (first, second), *_ = expected(cases, 3)[1:2]
    probabilities = [normalised(joined([reading])) for reading in (first, second)]
    moved = [abs(one - two) for one, two in zip(*probabilities, strict=True)]
    assert max(moved) > 100 * TOLERANCE
