"""Targets are ratios to a peer in the same run, and told as reached, missed or not measured."""

import pytest

from benchmarks.targets import TARGETS, Target, divided, to_vllm
from runs import record, results


def both(part: str, workload: str, load: str, measure: str, ours: float, theirs: float) -> tuple[float | None, bool]:
    """The ratio and whether a target of 2 is reached."""
    found = results(
        record(part, "phiserve", workload, load, **{measure: ours}), record(part, "vllm", workload, load, **{measure: theirs})
    )
    target = Target("x", 2, to_vllm(part, workload, load, measure), "")
    ratio = target.ratio(found)
    return ratio, ratio is not None and target.reached(ratio)


def test_at_least() -> None:
    assert both("stages", "1 MP", "one core", "images_per_s", 30, 10) == (3, True)
    assert both("stages", "1 MP", "one core", "images_per_s", 19, 10) == (1.9, False)


def test_at_most() -> None:
    target = Target("x", 0.5, to_vllm("a", "b", "c", "d"), "", at_most=True)
    assert [target.reached(ratio) for ratio in (0.4, 0.5, 0.51)] == [True, True, False]


@pytest.mark.parametrize(("ours", "theirs"), [(None, 1.0), (1.0, None), (1.0, 0.0)])
def test_not_measured(ours: float | None, theirs: float | None) -> None:
    assert divided(ours, theirs) is None


def test_an_empty_run_reaches_nothing() -> None:
    assert [target.ratio(results()) for target in TARGETS] == [None] * len(TARGETS)
