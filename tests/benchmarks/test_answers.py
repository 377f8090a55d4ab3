"""Rates and latencies of answers whose times are known."""

import pytest

from benchmarks.answers import failures, first_token_ms, gaps_ms, summary
from benchmarks.load import Answer


def answer(began_s: float, *arrivals_s: float, ended_s: float, tokens: int = 0) -> Answer:
    return Answer(began_s, arrivals_s, ended_s, tokens or len(arrivals_s), succeeded=True)


FAILED = Answer(0.0, (), 4.0, 0, succeeded=False, failure="500: no")


def test_summary() -> None:
    """Over the whole time, the failed request's too; its own numbers count nowhere."""
    measures = summary(
        [answer(0.0, 1.0, 1.5, 2.0, ended_s=2.0), answer(0.5, 1.0, ended_s=3.0, tokens=5), FAILED]
    )
    assert (measures["requests"], measures["failed"], measures["seconds"]) == (3, 1, 4)
    assert measures["requests_per_s"] == 0.5
    assert measures["output_tokens_per_s"] == 2
    assert measures["chunks_per_token"] == 0.5
    assert measures["ttft_p50_ms"] == pytest.approx(750)
    assert measures["itl_p99_ms"] == pytest.approx(500)


def test_nothing_answered() -> None:
    """There is nothing to tell but that."""
    assert summary([FAILED]) == {"requests": 1, "failed": 1}
    assert failures([FAILED, FAILED]) == ["500: no"]


def test_gaps_of_a_stretch_of_time() -> None:
    """Those that ended in it; what came together has no time between."""
    one = answer(0.0, 1.0, 1.0, 2.0, 5.0, ended_s=5.0)
    assert gaps_ms(one) == [0, 1000, 3000]
    assert gaps_ms(one, since_s=1.5, until_s=4.0) == [1000]
    assert first_token_ms(one) == 1000
