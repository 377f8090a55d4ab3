"""Floods are held against the phases around them."""

import pytest

from benchmarks.fairness import ALONE, Phase, compared, is_fair, table_of
from benchmarks.load import Answer


def answer(milliseconds: float, *, succeeded: bool = True) -> Answer:
    ended_s = 1 + milliseconds / 1000
    return Answer(1.0, (ended_s,), ended_s, 16, succeeded)


def phase(kind: str, *milliseconds: float, refused: int = 0) -> Phase:
    told = {} if kind == ALONE else {"answered": 5, "refused": refused, "failures": {}}
    return Phase(kind, tuple(map(answer, milliseconds)), 100.0, 10.0, told)


def test_a_flood_is_compared_with_its_neighbours() -> None:
    """Phases alone that are further off count for other floods."""
    phases = [
        phase(ALONE, 100),
        phase("32 streams", 150, 350, refused=2),
        phase(ALONE, 300),
        phase("16 photos", 600),
        phase(ALONE, 900),
    ]
    record = compared("32 streams", phases)
    assert record.workload == "32 streams"
    assert record.measures["alone_p50_ms"] == pytest.approx(200)
    assert record.measures["flooded_p50_ms"] == pytest.approx(250)
    assert record.measures["ratio_p50"] == pytest.approx(1.25)
    assert record.measures["a_refused"] == 2
    assert is_fair(record)
    assert "| 32 streams | 200 | 250 |" in table_of([record])


def test_what_is_unfair() -> None:
    """Twice at the median is the most, and nothing may fail."""
    slow = compared("16 photos", [phase(ALONE, 100), phase("16 photos", 210), phase(ALONE, 100)])
    failing = Phase("16 photos", (answer(1, succeeded=False), answer(1)), 0, 0, phase("16 photos").flood)
    failed = compared("16 photos", [phase(ALONE, 100), failing, phase(ALONE, 100)])
    assert not is_fair(slow)
    assert failed.measures["failed"] == 1
    assert not is_fair(failed)
