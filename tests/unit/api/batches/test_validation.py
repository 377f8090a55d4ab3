"""An input is validated as a whole before any of it is answered; errors name their lines."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from batching import CHAT, chat_line, created, ended, in_state, jsonl, uploaded, without_lines
from images import encode, noise
from kept_files import in_folder
from phiserve.api.batches import validation
from phiserve.api.services import Services
from phiserve.protocol.events import encode_json
from phiserve.store.batch_records import BatchRecords
from phiserve.store.file_records import FileRecords
from scripted import ScriptedEngine
from stateful import Held, fetched, running, until
from wire import ANSWER

MakeServices = Callable[..., Services]
GOOD = chat_line("good")


async def failed(client: httpx.AsyncClient, content: bytes) -> list[tuple[str, str | None, int | None]]:
    """The errors of a batch: code, param and line of each."""
    batch = await ended(client, (await created(client, content))["id"])
    assert batch["status"] == "failed"
    assert batch["failed_at"] >= batch["created_at"]
    assert batch["request_counts"] == {"total": 0, "completed": 0, "failed": 0}
    assert batch["output_file_id"] is batch["error_file_id"] is batch["in_progress_at"] is None
    assert all(error["message"] for error in batch["errors"]["data"])
    return [(error["code"], error["param"], error["line"]) for error in batch["errors"]["data"]]


LONG = "x" * 70_000
WRONG: list[tuple[list[dict[str, Any]], list[tuple[str, str | None, int | None]]]] = [
    ([], [("empty_file", "input_file_id", None)]),
    ([GOOD, chat_line("b", url="?") | {"url": "/v1/responses"}], [("mismatched_url", "url", 2)]),
    ([GOOD, chat_line("b", model="x")], [("model_not_found", "body.model", 2)]),
    ([chat_line("a", model="m"), chat_line("b", model="n")], [("mismatched_model", "body.model", 2)]),
    (
        [GOOD, chat_line("b"), GOOD, GOOD],
        [("duplicate_custom_id", "custom_id", 3), ("duplicate_custom_id", "custom_id", 4)],
    ),
    ([GOOD, chat_line("b", temperature=3)], [("invalid_value", "body.temperature", 2)]),
    ([GOOD, chat_line("b", stream=True)], [("unsupported_parameter", "body.stream", 2)]),
    ([GOOD, chat_line("b", LONG)], [("line_too_long", None, 2)]),
    ([chat_line(str(n)) for n in range(5)], [("too_many_requests", "input_file_id", None)]),
    (
        [{"a": 1}, GOOD, {"b": 1}],
        [("unknown_parameter", "a", 1), ("unknown_parameter", "b", 3)],
    ),
    ([GOOD, {"a": 1}, GOOD], [("unknown_parameter", "a", 2), ("duplicate_custom_id", "custom_id", 3)]),
]


def test_what_fails_a_batch(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is answered; of a file that is no batch at all, only so many errors are told."""
    engine = ScriptedEngine(ANSWER)
    settings = {"max_body_bytes": 1024, "batch_max_lines": 4, "served_model_name": ["n"]}
    services = make_services(engine, state=tmp_path, **settings)

    async def run() -> None:
        async with running(services) as client:
            for lines, errors in WRONG:
                assert await failed(client, jsonl(lines)) == errors
            monkeypatch.setattr(validation, "MAX_ERRORS", 2)
            errors = [("invalid_json_line", None, 1), ("invalid_json_line", None, 2)]
            assert await failed(client, b"no\n" * 3) == errors

    asyncio.run(run())
    assert engine.generations == []


def test_which_line_has_an_id_already(make_services: MakeServices, tmp_path: Path) -> None:
    """Every later one is told the first."""

    async def run() -> list[str]:
        async with running(make_services(ScriptedEngine(), state=tmp_path)) as client:
            batch = await created(client, jsonl([GOOD, chat_line("b"), GOOD, GOOD]))
            batch = await ended(client, batch["id"])
            return [error["message"] for error in batch["errors"]["data"]]

    assert asyncio.run(run()) == ["custom_id: line 1 has 'good' too"] * 2


def test_the_file_may_be_deleted(make_services: MakeServices, tmp_path: Path) -> None:
    """Its content stays for as long as the batch needs it, and goes with it."""
    held = Held()
    services = make_services(held.engine, state=tmp_path)

    async def run() -> None:
        async with running(services) as client:
            batch = await created(client, jsonl([chat_line("a"), chat_line("b")]))
            await in_state(client, batch["id"], "in_progress")
            response = await client.delete(f"/v1/files/{batch['input_file_id']}")
            assert response.status_code == 200
            held.may_go_on.set()
            batch = await ended(client, batch["id"])
            assert batch["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
            files = (await fetched(client, "/v1/files"))["data"]
            assert [file["id"] for file in files] == [batch["output_file_id"]]
            await until(lambda: len(in_folder(tmp_path / "files")()) == 1)

    asyncio.run(run())


def test_cancelled_while_it_is_read(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is answered, there is no file, and no line is left."""
    services = make_services(ScriptedEngine(ANSWER), state=tmp_path)
    reached, add = asyncio.Event(), BatchRecords.add_lines

    async def hold(*arguments: Any) -> bool:
        added = await add(*arguments)
        reached.set()
        await asyncio.Event().wait()
        return added

    monkeypatch.setattr(BatchRecords, "add_lines", hold)

    async def run() -> None:
        async with running(services) as client:
            batch = await created(client, jsonl([GOOD]))
            await reached.wait()
            await client.post(f"/v1/batches/{batch['id']}/cancel")
            batch = await ended(client, batch["id"])
            assert batch["status"] == "cancelled"
            assert batch["output_file_id"] is batch["error_file_id"] is None
            assert services.batches is not None
            await without_lines(services.batches, batch["id"])

    asyncio.run(run())


def test_what_lines_say_is_not_kept(make_services: MakeServices, tmp_path: Path) -> None:
    """The store knows where a line stands and what it may share with others; not its body."""
    held = Held()
    services = make_services(held.engine, state=tmp_path)

    async def run() -> None:
        async with running(services) as client:
            batch = await created(client, jsonl([chat_line("a", "x" * 5000)]))
            await in_state(client, batch["id"], "in_progress")
            assert services.batches is not None
            stored = await services.batches.batch("", batch["id"])
            assert stored is not None
            (line,) = await services.batches.unanswered(stored, ("", 0), 10)
            assert (line.number, line.custom_id, line.offset) == (1, "a", 0)
            assert len(encode_json(line.together)) < 300
            assert CHAT not in line.together

    asyncio.run(run())


def showing(custom_id: str, *file_ids: str) -> dict[str, Any]:
    """A line that shows uploaded images."""
    return chat_line(custom_id, [{"type": "image_file", "image_file": {"file_id": one}} for one in file_ids])


def test_files_that_are_not_there(make_services: MakeServices, tmp_path: Path) -> None:
    """Are told before anything is answered, with line and place: the first of each line."""
    engine = ScriptedEngine(ANSWER)

    async def run() -> None:
        async with running(make_services(engine, state=tmp_path)) as client:
            image = await uploaded(client, encode(noise(30, 30)), "vision")
            deleted = await uploaded(client, b"gone", "vision")
            await client.delete(f"/v1/files/{deleted}")
            place = "body.messages[0].content[{}].image_file.file_id"
            lines = [
                showing("a", image),
                showing("b", image, deleted, "file-typo"),
                chat_line("c", stream=True),
                showing("d", "\0"),
            ]
            assert await failed(client, jsonl(lines)) == [
                ("file_not_found", place.format(1), 2),
                ("unsupported_parameter", "body.stream", 3),
                ("file_not_found", place.format(0), 4),
            ]
            assert engine.generations == []
            batch = await created(client, jsonl(lines[:1]))
            await in_state(client, batch["id"], "in_progress", "completed")

    asyncio.run(run())


def test_files_are_looked_up_together(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for lines that are read together, and not again once they are known."""
    asked, present = list[set[str]](), FileRecords.present

    async def counted(records: FileRecords, owner: str, ids: set[str]) -> set[str]:
        asked.append(ids)
        return await present(records, owner, ids)

    monkeypatch.setattr(FileRecords, "present", counted)

    async def run() -> None:
        async with running(make_services(ScriptedEngine(ANSWER), state=tmp_path)) as client:
            image = await uploaded(client, encode(noise(30, 30)), "vision")
            batch = await created(client, jsonl([showing(str(n), image) for n in range(200)]))
            await in_state(client, batch["id"], "in_progress", "completed")
            assert asked == [{image}]

    asyncio.run(run())
