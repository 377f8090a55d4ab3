"""What a server's metrics say: read at two moments, they tell rates and times of what happened between."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from phiserve.errors import StartupError

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Reading:
    """All values at one moment, by name and labels; `at` is `time.monotonic()`'s, in seconds."""

    at: float
    values: Mapping[str, Mapping[Labels, float]]

    def value(self, name: str, **labels: str) -> float | None:
        """The sum of all series with this name and these labels; None where there are none."""
        found = [value for _, value in self._of(name, labels)]
        return sum(found) if found else None

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """The sums for each value of a label, which is empty where it is missing."""
        sums: dict[str, float] = defaultdict(float)
        for found, value in self._of(name, labels):
            sums[dict(found).get(label, "")] += value
        return dict(sums)

    def _of(self, name: str, labels: Mapping[str, str]) -> Iterator[tuple[Labels, float]]:
        wanted = labels.items()
        for found, value in self.values.get(name, {}).items():
            if wanted <= found:
                yield found, value


def parse(text: str, at: float) -> Reading:
    """Read Prometheus' text format. Raises StartupError for what is something else."""
    values: dict[str, dict[Labels, float]] = defaultdict(dict)
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                values[sample.name][frozenset(sample.labels.items())] = sample.value
    except (ValueError, KeyError, IndexError):  # what the parser raises, depending on where it stumbles
        raise StartupError("What answers at /metrics are no metrics") from None
    return Reading(at, values)


@dataclass(frozen=True, slots=True)
class Interval:
    """What happened between two readings of one server. Make it with `between`.

    `grown`: by how much each counter grew. `now`: the later reading.
    """

    seconds: float
    grown: Reading
    now: Reading

    def rate(self, name: str, **labels: str) -> float | None:
        """By how much a counter grew a second; None where there is none."""
        growth = self.grown.value(name, **labels)
        return None if growth is None or self.seconds <= 0 else growth / self.seconds

    def rates(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """The rates for each value of a label."""
        grown = self.grown.by(name, label, **labels)
        return {value: growth / self.seconds for value, growth in grown.items() if self.seconds > 0}

    def share(self, part: str, *whole: str) -> float | None:
        """What `part` grew of what the counters `whole` did together; None where they did not."""
        total = sum(self.grown.value(name) or 0.0 for name in whole)
        return (self.grown.value(part) or 0.0) / total if total else None

    def quantile(self, histogram: str, rank: float) -> float | None:
        """The value below which a share `rank` of the observations were, as Prometheus estimates it.

        None without observations. For those above the last bound, that bound.
        """
        buckets = self.grown.by(f"{histogram}_bucket", "le")
        counts = sorted((float(bound), count) for bound, count in buckets.items())
        if not counts or not counts[-1][1]:
            return None
        wanted = rank * counts[-1][1]
        lower, below = 0.0, 0.0
        for bound, count in counts[:-1]:
            if count >= wanted:
                return lower + (bound - lower) * (wanted - below) / (count - below)
            lower, below = bound, count
        return lower


def between(before: Reading, after: Reading) -> Interval:
    """What happened meanwhile. A counter that has become smaller has begun anew: its server has."""
    grown: dict[str, dict[Labels, float]] = {}
    for name, series in after.values.items():
        was = before.values.get(name, {})
        grown[name] = {
            labels: value - was.get(labels, 0.0) if value >= was.get(labels, 0.0) else value
            for labels, value in series.items()
        }
    return Interval(after.at - before.at, Reading(after.at, grown), after)
