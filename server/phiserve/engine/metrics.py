"""vLLM's statistics: Prometheus metrics, with one bulk observation a step instead of one for each token.

And a sign that the engine works: its steps, counted.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar, Self, cast

from prometheus_client import Histogram
from vllm.config import VllmConfig
from vllm.v1.metrics.loggers import PrometheusStatLogger
from vllm.v1.metrics.stats import IterationStats, MultiModalCacheStats, SchedulerStats


class StepStatLogger(PrometheusStatLogger):
    """Takes the place of vLLM's own logger when it is passed as a stat logger."""

    def record(
        self,
        scheduler_stats: SchedulerStats | None,
        iteration_stats: IterationStats | None,
        mm_cache_stats: MultiModalCacheStats | None = None,
        engine_idx: int = 0,
    ) -> None:
        """Record a step as vLLM does, but observe the times between tokens in bulk.

        Of these, a step has one value for each stream.
        """
        latencies = [] if iteration_stats is None else iteration_stats.inter_token_latencies_iter
        if iteration_stats is None or not latencies:
            super().record(scheduler_stats, iteration_stats, mm_cache_stats, engine_idx)
            return
        observe_all(self.histogram_inter_token_latency[engine_idx], latencies)
        iteration_stats.inter_token_latencies_iter = []
        try:
            super().record(scheduler_stats, iteration_stats, mm_cache_stats, engine_idx)
        finally:  # other loggers get the same object
            iteration_stats.inter_token_latencies_iter = latencies


class StepCount:
    """Counts the steps in which an engine worked on requests.

    vLLM sends statistics for every turn of its loop, also for one in which it did nothing. Those of a step
    that had tokens to compute hold its details, where `enable_logging_iteration_details` is on; a long prompt
    has many such steps before its first token.
    """

    def __init__(self, *, keeps_details: bool = False) -> None:
        self.steps = 0
        self._keeps_details = keeps_details

    def feed(self, statistics: SchedulerStats | None) -> None:
        """Count one turn of the engine's loop."""
        if statistics is None:
            return
        if statistics.iteration_details is not None or _only_compiles(statistics):
            self.steps += 1
        if not self._keeps_details:
            statistics.iteration_details = None  # vLLM's loggers would write a line for each step


def _only_compiles(statistics: SchedulerStats) -> bool:
    """Whether no request could be worked on: each waits for its constraint, which another thread compiles."""
    to_do = statistics.num_running_reqs + statistics.num_waiting_reqs
    return not to_do and bool(statistics.num_skipped_waiting_reqs)


def one_stat_logger(steps: StepCount) -> type[StepStatLogger]:
    """A class of which there is one object, whatever number is asked for; it feeds `steps`.

    Given to engine after engine, its counters go on, where vLLM would register new ones at zero.
    """

    class OneStatLogger(StepStatLogger):
        """Made once."""

        _first: ClassVar[StepStatLogger | None] = None

        def __new__(cls, vllm_config: VllmConfig, engine_indexes: list[int] | None = None) -> Self:
            if cls._first is None:
                cls._first = super().__new__(cls)
            return cast("Self", cls._first)

        def __init__(self, vllm_config: VllmConfig, engine_indexes: list[int] | None = None) -> None:
            if not hasattr(self, "_is_registered"):
                self._is_registered = False
                super().__init__(vllm_config, engine_indexes)

        def record(
            self,
            scheduler_stats: SchedulerStats | None,
            iteration_stats: IterationStats | None,
            mm_cache_stats: MultiModalCacheStats | None = None,
            engine_idx: int = 0,
        ) -> None:
            """Count the step, and record it."""
            steps.feed(scheduler_stats)
            super().record(scheduler_stats, iteration_stats, mm_cache_stats, engine_idx)

        def log_engine_initialized(self) -> None:
            """Register the metric that describes the KV cache, once."""
            if not self._is_registered:
                self._is_registered = True
                super().log_engine_initialized()

    return OneStatLogger


def observe_all(histogram: Histogram, amounts: Sequence[float]) -> None:
    """Observe all amounts at once.

    Same result as `histogram.observe` for each, which takes two locks and a search of the buckets every time.
    """
    bounds = histogram._upper_bounds
    histogram._sum.inc(sum(amounts))
    for bucket, count in Counter(bisect_left(bounds, amount) for amount in amounts).items():
        histogram._buckets[bucket].inc(count)
