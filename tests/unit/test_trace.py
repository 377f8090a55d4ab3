"""What a traced request notes on its way."""

import asyncio
import time

import pytest

from phiserve.trace import Trace, step


def test_steps() -> None:
    """Each with its name and its time, in the order in which they end; also one that fails."""
    trace = Trace({})
    before = time.monotonic()
    with step(trace, "a"), step(trace, "b"):
        pass
    with pytest.raises(ZeroDivisionError), step(trace, "c"):
        raise ZeroDivisionError
    assert [one.name for one in trace.steps] == ["b", "a", "c"]
    assert all(before <= one.began_at <= one.ended_at <= time.monotonic() for one in trace.steps)


def test_without_a_trace() -> None:
    """Nothing is noted, and the work is done."""
    with step(None, "a"):
        done = True
    assert done


def test_work_that_is_done_twice() -> None:
    """Is a step each time, and gives what it gave before."""
    trace = Trace({})

    async def work() -> int:
        return 7

    timed = trace.timed("load", work)
    assert [asyncio.run(timed()), asyncio.run(timed())] == [7, 7]
    assert [one.name for one in trace.steps] == ["load", "load"]
