"""Answers -> numbers: rates, time to the first token, time between tokens."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from benchmarks.figures import percentile
from benchmarks.load import Answer

PERCENTS = (50, 95, 99)


def gaps_ms(answer: Answer, since_s: float = 0.0, until_s: float = float("inf")) -> list[float]:
    """Milliseconds between events with content, for those that ended within a span of time. Events that
    came together: 0.
    """
    pairs = pairwise(answer.arrivals_s)
    return [(later - earlier) * 1000 for earlier, later in pairs if since_s <= later <= until_s]


def first_token_ms(answer: Answer) -> float:
    """Milliseconds from sending to the first content. Raises IndexError if none came."""
    return (answer.arrivals_s[0] - answer.began_s) * 1000


def summary(answers: Sequence[Answer]) -> dict[str, float]:
    """Rates over the whole, percentiles over all. Requests that failed count as such and nowhere else."""
    good = [answer for answer in answers if answer.succeeded and answer.arrivals_s]
    measures: dict[str, float] = {"requests": len(answers), "failed": len(answers) - len(good)}
    if not good:
        return measures
    seconds = max(answer.ended_s for answer in answers) - min(answer.began_s for answer in answers)
    tokens = sum(answer.tokens for answer in good)
    measures |= {
        "seconds": seconds,
        "requests_per_s": len(good) / seconds,
        "output_tokens_per_s": tokens / seconds,
        "output_tokens": tokens,
        "chunks_per_token": sum(len(answer.arrivals_s) for answer in good) / tokens if tokens else 0.0,
    }
    measures |= percentiles("ttft", [first_token_ms(answer) for answer in good])
    measures |= percentiles("itl", [gap for answer in good for gap in gaps_ms(answer)])
    return measures


def percentiles(name: str, values: Sequence[float]) -> dict[str, float]:
    """`name_p50_ms` and so on; nothing where there are no values."""
    return {f"{name}_p{percent}_ms": percentile(values, percent) for percent in PERCENTS} if values else {}


def failures(answers: Iterable[Answer]) -> list[str]:
    """What went wrong, each kind once."""
    return list(dict.fromkeys(answer.failure for answer in answers if answer.failure))
