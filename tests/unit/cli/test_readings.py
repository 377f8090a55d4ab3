"""Rates, shares and quantiles of what happened between two readings."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from phiserve.cli.readings import Interval, between, parse
from phiserve.errors import StartupError

BEFORE = """\
# TYPE a_total counter
a_total{k="x",o="1"} 10.0
a_total{k="y",o="1"} 5.0
hits_total 3.0
queries_total 4.0
running 2.0
"""
AFTER = """\
# TYPE a_total counter
a_total{k="x",o="1"} 16.0
a_total{k="y",o="1"} 5.0
a_total{k="y",o="2"} 4.0
hits_total 4.0
queries_total 6.0
running 1.0
"""


def interval(before: str = BEFORE, after: str = AFTER) -> Interval:
    """Two seconds between two texts."""
    return between(parse(before, 100.0), parse(after, 102.0))


def test_values() -> None:
    """Sums over what has the labels; what is not there is None, not 0."""
    reading = interval().now
    assert (reading.value("a_total"), reading.value("a_total", k="y"), reading.value("running")) == (25, 9, 1)
    assert (reading.value("a_total", k="z"), reading.value("b")) == (None, None)
    assert reading.by("a_total", "o") == {"1": 21, "2": 4}
    assert reading.by("a_total", "other") == {"": 25}


def test_growth() -> None:
    """Also of a series that has begun in between."""
    grown = interval()
    assert grown.rate("a_total") == 5
    assert grown.rate("a_total", o="2") == 2
    assert grown.rates("a_total", "k") == {"x": 3, "y": 2}
    assert grown.rates("a_total", "k", o="2") == {"y": 2}
    assert grown.rate("b_total") is None
    assert grown.share("hits_total", "queries_total") == 0.5
    assert grown.share("hits_total", "hits_total", "a_total") == 1 / 11


def test_nothing_happened() -> None:
    """There is no rate without time, and no share of nothing."""
    still = interval(AFTER, AFTER)
    assert still.rate("a_total") == 0
    assert still.share("hits_total", "queries_total") is None
    none = between(still.now, still.now)
    assert (none.rate("a_total"), none.rates("a_total", "k")) == (None, {})


def test_a_server_that_began_anew() -> None:
    """What it has counted since is what happened."""
    assert interval(AFTER, BEFORE).grown.value("a_total", k="x") == 10


def histogram(*values: float) -> str:
    """The text of a histogram with bounds 1, 2, 4 after these observations."""
    registry = CollectorRegistry()
    metric = Histogram("h", "h", ["o"], buckets=(1, 2, 4), registry=registry)
    Counter("c", "c", registry=registry)
    for number, value in enumerate(values):
        metric.labels(str(number % 2)).observe(value)
    return generate_latest(registry).decode()


@pytest.mark.parametrize(
    ("before", "new", "rank", "expected"),
    [
        ((), (0.5, 0.6, 0.7, 0.8), 0.5, 0.5),
        ((), (0.5, 1.5), 0.5, 1.0),
        ((), (1.5, 1.5, 3, 3), 0.75, 3.0),
        ((9.0,) * 50, (1.5, 1.5), 0.5, 1.5),
        ((), (9.0,), 0.95, 4.0),
        ((0.5,), (), 0.5, None),
    ],
)
def test_quantiles(
    before: tuple[float, ...], new: tuple[float, ...], rank: float, expected: float | None
) -> None:
    """Of the new observations alone, over all labels, interpolated between bounds."""
    grown = interval(histogram(*before), histogram(*before, *new))
    assert grown.quantile("h", rank) == expected
    assert grown.quantile("unknown", rank) is None


@pytest.mark.parametrize("text", ["<!doctype html><p>a</p>", '{"error": 1}', "a b c d e"])
def test_no_metrics(text: str) -> None:
    """A page of something else."""
    with pytest.raises(StartupError, match="are no metrics"):
        parse(text, 0)
