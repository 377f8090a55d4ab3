"""Metrics that are written in bulk are those that vLLM would have written."""

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from vllm.v1.metrics.loggers import PrometheusStatLogger
from vllm.v1.metrics.stats import IterationStats, SchedulerIterationDetails, SchedulerStats

from phiserve.engine.metrics import StepCount, StepStatLogger, observe_all, one_stat_logger

AMOUNTS = [0.004, 0.01, 0.0100001, 0.5, 7.0, 0.0, 0.01]


def histogram() -> tuple[Histogram, CollectorRegistry]:
    registry = CollectorRegistry()
    return Histogram("gap", "Time between tokens.", buckets=[0.01, 0.1, 1.0], registry=registry), registry


def exposed(registry: CollectorRegistry) -> list[bytes]:
    """Without the time of creation."""
    return [line for line in generate_latest(registry).splitlines() if b"created" not in line]


def test_all_at_once_is_one_by_one() -> None:
    """Bounds belong to the bucket below; what exceeds them all to the last."""
    (bulk, ours), (single, theirs) = histogram(), histogram()
    observe_all(bulk, AMOUNTS)
    for amount in AMOUNTS:
        single.observe(amount)
    assert exposed(ours) == exposed(theirs)
    assert b"gap_count 7.0" in exposed(ours)


@pytest.mark.parametrize("latencies", [[], [0.5, 0.02]])
def test_vllm_records_the_rest(monkeypatch: pytest.MonkeyPatch, latencies: list[float]) -> None:
    """With no latency left to it, and for loggers after it they are all there."""
    recorded: list[tuple[object, ...]] = []

    def record(self: object, scheduler_stats: object, iteration_stats: IterationStats, *rest: object) -> None:
        recorded.append((scheduler_stats, list(iteration_stats.inter_token_latencies_iter), rest))

    monkeypatch.setattr(PrometheusStatLogger, "record", record)
    logger = StepStatLogger.__new__(StepStatLogger)
    metric, registry = histogram()
    logger.histogram_inter_token_latency = {0: metric}
    stats = IterationStats()
    stats.inter_token_latencies_iter = latencies
    logger.record("scheduler", stats, mm_cache_stats=None, engine_idx=0)
    assert recorded == [("scheduler", [], (None, 0))]
    assert stats.inter_token_latencies_iter is latencies
    assert f"gap_count {len(latencies):.1f}".encode() in exposed(registry)


def test_without_statistics_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM passes none where a step answered nobody."""
    recorded: list[tuple[object, ...]] = []
    monkeypatch.setattr(
        PrometheusStatLogger, "record", lambda self, *arguments, **options: recorded.append(arguments)
    )
    StepStatLogger.__new__(StepStatLogger).record("scheduler", None, engine_idx=0)
    assert recorded == [("scheduler", None, None, 0)]


DETAILS = SchedulerIterationDetails(0, 1, 512, 0, 0, 1.0)
"""Of a step that read a part of a prompt, and answered nobody."""


@pytest.mark.parametrize(
    ("statistics", "steps"),
    [
        (None, 0),
        (SchedulerStats(num_running_reqs=1), 0),
        (SchedulerStats(num_waiting_reqs=1), 0),
        (SchedulerStats(num_running_reqs=1, num_skipped_waiting_reqs=1), 0),
        (SchedulerStats(num_running_reqs=1, iteration_details=DETAILS), 1),
        (SchedulerStats(num_skipped_waiting_reqs=1), 1),
    ],
)
def test_which_turns_of_the_loop_are_steps(statistics: SchedulerStats | None, steps: int) -> None:
    """Those with tokens to compute, and those in which every request waits for its constraint's compiler."""
    count = StepCount()
    count.feed(statistics)
    assert count.steps == steps


@pytest.mark.parametrize("keeps_details", [True, False])
def test_details_are_for_those_who_ask(keeps_details: bool) -> None:
    """vLLM's loggers, which come after ours, would write a line for each step."""
    statistics = SchedulerStats(iteration_details=DETAILS)
    StepCount(keeps_details=keeps_details).feed(statistics)
    assert statistics.iteration_details is (DETAILS if keeps_details else None)


def test_every_record_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without anything to record for a request."""
    monkeypatch.setattr(PrometheusStatLogger, "record", lambda self, *arguments: None)
    count = StepCount()
    logger_class = one_stat_logger(count)
    logger_class.record(object.__new__(logger_class), SchedulerStats(iteration_details=DETAILS), None)
    assert count.steps == 1
