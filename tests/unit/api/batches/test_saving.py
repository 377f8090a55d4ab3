"""Answers come into the store a few at a time, however many there are; it is never far behind."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batching import chat_line, created, ended, jsonl, outcome
from phiserve.api.batches import asking, finishing, parts
from phiserve.api.batches import saving as module
from phiserve.api.batches.answering import window_of
from phiserve.api.services import Services
from phiserve.errors import StoreFailure
from phiserve.store.batch_records import BatchRecords
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


def test_large_answers(make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few of them are in a transaction, wait for one, or are read at once for the output."""
    monkeypatch.setattr(module, "MAX_BYTES_AT_ONCE", 1000)
    monkeypatch.setattr(module, "MAX_BYTES_PENDING", 2000)
    monkeypatch.setattr(finishing, "MAX_BYTES_AT_ONCE", 1000)
    monkeypatch.setattr(asking, "PAUSE_S", 0.001)
    monkeypatch.setattr(parts, "window_of", lambda services: 8)
    engine = ScriptedEngine(ANSWER)
    stored, read, behind = list[int](), list[int](), list[int]()
    save, ended_lines = BatchRecords.save_results, BatchRecords.ended_lines

    async def saving(records: BatchRecords, batch: Any, runner: str, results: Any) -> bool:
        for _ in range(50):  # others' turns
            await asyncio.sleep(0)
        behind.append(len(engine.generations) - len(stored))
        is_own = await save(records, batch, runner, results)
        sizes = [len(result.result) for result in results]
        assert len(sizes) == 1 or sum(sizes) <= 1000
        stored.extend(sizes)
        return is_own

    async def reading(records: BatchRecords, *arguments: Any) -> Any:
        lines = await ended_lines(records, *arguments)
        read.append(len(lines))
        return lines

    monkeypatch.setattr(BatchRecords, "save_results", saving)
    monkeypatch.setattr(BatchRecords, "ended_lines", reading)

    async def run() -> None:
        async with running(make_services(engine, state=tmp_path)) as client:
            batch = await created(client, jsonl([chat_line(str(number)) for number in range(40)]))
            batch = await ended(client, batch["id"])
            assert (await outcome(client, batch))[0] == [str(number) for number in range(40)]

    asyncio.run(run())
    assert len(stored) == 40
    assert max(behind) <= 2000 // min(stored) + 1 + 8
    assert sum(read) == 40
    assert max(read) <= 1000 // min(stored)


def test_too_much_for_the_store(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it does not take is tried again with fewer; once it does, with more again."""
    monkeypatch.setattr(module, "RETRY_S", 0.001)
    sizes: list[int] = []
    save = BatchRecords.save_results

    async def saving(records: BatchRecords, batch: Any, runner: str, results: Any) -> bool:
        """As a slow disk, which takes three in time."""
        for _ in range(50):
            await asyncio.sleep(0)
        sizes.append(len(results))
        if len(results) > 3:
            raise StoreFailure("no answer within 30 s")
        return await save(records, batch, runner, results)

    monkeypatch.setattr(BatchRecords, "save_results", saving)

    async def run() -> None:
        services = make_services(ScriptedEngine(ANSWER), state=tmp_path)
        async with running(services) as client:
            batch = await created(client, jsonl([chat_line(str(number)) for number in range(20)]))
            batch = await ended(client, batch["id"])
            assert batch["request_counts"] == {"total": 20, "completed": 20, "failed": 0}

    asyncio.run(run())
    assert max(sizes) > 3
