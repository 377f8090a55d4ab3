"""Answers come into the store a few at a time, however many there are; it is never far behind."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batching import chat_line, created, ended, jsonl, outcome
from phiserve.api.batches import saving as module
from phiserve.api.batches.answering import window_of
from phiserve.api.services import Services
from scripted import ScriptedEngine
from stateful import running
from wire import ANSWER

MakeServices = Callable[..., Services]


def test_transactions_are_small(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes while one is under way does not make the next one long, or the wait for the store."""
    monkeypatch.setattr(module, "MOST_AT_ONCE", 3)
    monkeypatch.setattr(module, "MOST_PENDING", 5)
    engine = ScriptedEngine(ANSWER)
    services = make_services(engine, state=tmp_path)
    batches = services.batches
    sizes: list[int] = []
    behind: list[int] = []
    assert batches is not None
    save = batches.save_results

    async def save_slowly(batch: Any, runner: str, results: Any) -> bool:
        for _ in range(200):  # others' turns
            await asyncio.sleep(0)
        behind.append(len(engine.generations) - sum(sizes))
        sizes.append(len(results))
        return bool(await save(batch, runner, results))

    monkeypatch.setattr(batches, "save_results", save_slowly)

    async def run() -> None:
        async with running(services) as client:
            batch = await created(client, jsonl([chat_line(str(number)) for number in range(300)]))
            batch = await ended(client, batch["id"])
            assert batch["request_counts"] == {"total": 300, "completed": 300, "failed": 0}
            assert (await outcome(client, batch))[0] == [str(number) for number in range(300)]

    asyncio.run(run())
    assert max(sizes) <= 3
    assert sum(sizes) == len(engine.generations) == 300
    assert max(behind) <= 5 + window_of(services) + 3
