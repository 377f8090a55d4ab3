"""What is tended goes on after failures, which are told."""

import asyncio

import pytest

from phiserve.errors import StoreFailure
from phiserve.store.tended import again_and_again


def test_failures_end_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the store's, which is told in a line, nor any other, which is told with its place."""
    failures = [StoreFailure("no answer"), ValueError("odd")]
    went_well = asyncio.Event()

    async def work() -> None:
        if failures:
            raise failures.pop(0)
        went_well.set()

    async def run() -> None:
        tending = asyncio.create_task(again_and_again(work, 0, "Letters"))
        await asyncio.wait_for(went_well.wait(), 10)
        tending.cancel()

    asyncio.run(run())
    told, odd = caplog.records
    assert told.getMessage().startswith("Letters are not tended: ")
    assert told.exc_info is None
    assert odd.exc_info is not None
