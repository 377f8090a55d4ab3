"""Decisions leave room, and end with whom they are for. Counted in the engine's steps, not timed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from e2e.running import InProcessServer
from e2e.test_decisions import ABOUT, ORDERS, choice
from e2e.test_fairness import FLOOD, OTHER, Stream, client_at, steps_of
from phiserve.decider import SHARE_OF_RUNNING

QUESTIONS = 400
READS = QUESTIONS * ORDERS
TOKENS = 20
BODY: dict[str, Any] = {"model": "m", "input": ABOUT, "questions": [choice(3)] * QUESTIONS}


def reads_in(step: list[str]) -> set[str]:
    """The decisions' reads in a step."""
    return {name for name in step if name.startswith("decision")}


@asynccontextmanager
async def deciding(counted: InProcessServer, steps: list[list[str]]) -> AsyncGenerator[asyncio.Task[Any]]:
    """A request for many decisions, of which several are being read; `steps` are those made until then."""
    await asyncio.to_thread(steps_of, counted)
    async with client_at(FLOOD, counted.url) as client:
        task = asyncio.create_task(client.post("/v1/decisions", json=BODY))
        while not any(len(reads_in(step)) > 1 for step in steps):
            steps += await asyncio.to_thread(steps_of, counted)
            assert not task.done()
        yield task


def test_who_hangs_up_ends_all_reads(counted: InProcessServer) -> None:
    """Nothing is left in the engine, and most of it was never begun."""

    async def run() -> None:
        steps: list[list[str]] = []
        async with deciding(counted, steps) as task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(60):
            while counted.engine.is_busy:
                await asyncio.sleep(0.05)
        steps += await asyncio.to_thread(steps_of, counted)
        assert 1 < len(set[str]().union(*map(reads_in, steps))) < READS / 2

    asyncio.run(run())


def test_another_client_beside_many_questions(counted: InProcessServer) -> None:
    """Its answer goes on in nearly all steps of the engine; questions take half of the places at most."""

    async def run() -> None:
        steps: list[list[str]] = []
        async with deciding(counted, steps) as task, client_at(OTHER, counted.url) as other:
            await Stream().read(other, "Hello", TOKENS)
            assert not task.done()
            response: httpx.Response = await task
        assert response.status_code == 200
        assert len(response.json()["answers"]) == QUESTIONS
        steps += await asyncio.to_thread(steps_of, counted)
        reads = list(map(reads_in, steps))
        assert len(set[str]().union(*reads)) == READS
        assert 1 < max(map(len, reads)) <= counted.engine.limits.running // SHARE_OF_RUNNING
        answering = [number for number, step in enumerate(steps) if {*step} - reads_in(step)]
        meanwhile = range(answering[0], answering[-1] + 1)
        assert len(answering) >= TOKENS
        assert len(meanwhile) - len(answering) <= TOKENS / 4

    asyncio.run(run())
