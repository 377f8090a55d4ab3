"""vLLM's Prometheus metrics; what it observes token by token is observed once a step."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Any

from prometheus_client import Histogram
from vllm.v1.metrics.loggers import PrometheusStatLogger
from vllm.v1.metrics.stats import IterationStats


class StepStatLogger(PrometheusStatLogger):
    """Takes the place of vLLM's own when it is passed as a stat logger."""

    def record(
        self, scheduler_stats: Any, iteration_stats: IterationStats | None, *arguments: Any, **options: Any
    ) -> None:
        """As vLLM's, but for the time between tokens, of which a step has one value for each stream."""
        latencies = [] if iteration_stats is None else iteration_stats.inter_token_latencies_iter
        if iteration_stats is None or not latencies:
            super().record(scheduler_stats, iteration_stats, *arguments, **options)
            return
        observe_all(self.histogram_inter_token_latency[options.get("engine_idx", 0)], latencies)
        iteration_stats.inter_token_latencies_iter = []
        try:
            super().record(scheduler_stats, iteration_stats, *arguments, **options)
        finally:
            iteration_stats.inter_token_latencies_iter = latencies


def observe_all(histogram: Histogram, amounts: Sequence[float]) -> None:
    """As `observe` of each, which takes two locks and looks through the buckets for every one."""
    bounds = histogram._upper_bounds
    histogram._sum.inc(sum(amounts))
    for place, count in Counter(bisect_left(bounds, amount) for amount in amounts).items():
        histogram._buckets[place].inc(count)
