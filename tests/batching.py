"""Batches through an application that runs: made of lines, waited for, read from their files."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from openai.types import Batch
from sqlalchemy import create_engine, update

from phiserve.protocol.batches.lines import BatchUrl
from phiserve.store.batch_records import BatchRecords
from phiserve.store.tables import BATCHES
from stateful import WAIT_S, fetched

PATH = "/v1/batches"
CHAT: BatchUrl = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")


def chat_line(custom_id: str, content: Any = "Hi", **fields: Any) -> dict[str, Any]:
    """A line that asks for a chat's answer."""
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": 4} | fields
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body}


def jsonl(lines: Sequence[dict[str, Any]]) -> bytes:
    """A batch file."""
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


async def uploaded(client: httpx.AsyncClient, content: bytes, purpose: str = "batch", **options: Any) -> str:
    """The id of a new file."""
    files = {"file": ("lines.jsonl", content)}
    response = await client.post("/v1/files", data={"purpose": purpose}, files=files, **options)
    assert response.status_code == 200, response.text
    file_id: str = response.json()["id"]
    return file_id


async def asked(
    client: httpx.AsyncClient, file_id: str, headers: Any = None, **fields: Any
) -> httpx.Response:
    """The answer to a request for a batch of a file."""
    body = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"} | fields
    return await client.post(PATH, json=body, headers=headers)


async def created(client: httpx.AsyncClient, content: bytes, **fields: Any) -> dict[str, Any]:
    """A new batch of a new file."""
    response = await asked(client, await uploaded(client, content), **fields)
    assert response.status_code == 200, response.text
    return checked(response.json())


def checked(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch that OpenAI's client would take."""
    Batch.model_validate_json(json.dumps(batch), strict=True)
    return batch


async def in_state(
    client: httpx.AsyncClient, batch_id: str, *states: str, headers: Any = None
) -> dict[str, Any]:
    """A batch, once it is in one of these states."""

    async def poll() -> dict[str, Any]:
        while True:
            response = await client.get(f"{PATH}/{batch_id}", headers=headers)
            assert response.status_code == 200, response.text
            batch = checked(response.json())
            if batch["status"] in states:
                return batch
            await asyncio.sleep(0.01)

    return await asyncio.wait_for(poll(), WAIT_S)


async def ended(client: httpx.AsyncClient, batch_id: str, headers: Any = None) -> dict[str, Any]:
    """A batch, once it has ended."""
    return await in_state(client, batch_id, *ENDED, headers=headers)


async def lines_in(client: httpx.AsyncClient, file_id: str | None) -> list[dict[str, Any]]:
    """The lines of an output; none where there is no file."""
    if file_id is None:
        return []
    file = await fetched(client, f"/v1/files/{file_id}")
    assert file["purpose"] == "batch_output"
    response = await client.get(f"/v1/files/{file_id}/content")
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


async def without_lines(records: BatchRecords, batch_id: str) -> None:
    """Come back once no line of a batch is in the store: they go soon after its end."""

    async def poll() -> None:
        stored = await records.batch("", batch_id)
        assert stored is not None
        while await records.count_lines(stored):
            await asyncio.sleep(0.01)

    await asyncio.wait_for(poll(), WAIT_S)


async def changed_in_store(state: Path, batch_id: str, **values: str | int) -> None:
    """Set columns of a batch that is stored in a folder, as time or another server would."""

    def change() -> None:
        engine = create_engine(f"sqlite:///{state / 'state.db'}", connect_args={"timeout": WAIT_S})
        with engine.begin() as connection:
            connection.execute(update(BATCHES).where(BATCHES.c.id == batch_id).values(**values))
        engine.dispose()

    await asyncio.to_thread(change)


async def outcome(client: httpx.AsyncClient, batch: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The `custom_id`s of what was answered, and of errors, in the order of the files."""
    answered = await lines_in(client, batch["output_file_id"])
    errors = await lines_in(client, batch["error_file_id"])
    return [line["custom_id"] for line in answered], [line["custom_id"] for line in errors]
