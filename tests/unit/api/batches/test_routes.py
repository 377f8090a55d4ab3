"""The routes of batches: what makes one, what it looks like, whose it is."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batching import (
    CHAT,
    PATH,
    asked,
    chat_line,
    checked,
    created,
    ended,
    in_state,
    jsonl,
    lines_in,
    uploaded,
    without_lines,
)
from key_files import bearer, write_keys
from phiserve.api.services import Services
from responses_types import Specification
from scripted import ScriptedEngine
from stateful import WAIT_S, Held, answered, fetched, running
from wire import ANSWER

MakeServices = Callable[..., Services]


def test_from_the_file_to_the_output(make_services: MakeServices, tmp_path: Path, reference: Path) -> None:
    """What each line is answered with, as OpenAI's files have it; counts and usage; nothing else is left."""
    services = make_services(ScriptedEngine(ANSWER), state=tmp_path)
    wrong = chat_line("wrong", [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}])

    async def run() -> None:
        async with running(services) as client:
            content = jsonl([chat_line("b"), wrong, chat_line("a", model="m")])
            batch = await created(client, content, metadata={"night": "1"}, completion_window="2h")
            assert batch["status"] in ("validating", "in_progress", "completed")
            batch = await ended(client, batch["id"])
            told = {name: value for name, value in batch.items() if value is not None}
            Specification(reference).validate("Batch", told)
            assert batch["status"] == "completed"
            assert batch["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
            assert (batch["model"], batch["metadata"], batch["endpoint"]) == ("m", {"night": "1"}, CHAT)
            assert batch["expires_at"] == batch["created_at"] + 7200
            times = [batch[f"{name}_at"] for name in ("created", "in_progress", "finalizing", "completed")]
            assert times == sorted(times)
            done = await lines_in(client, batch["output_file_id"])
            assert [line["custom_id"] for line in done] == ["b", "a"]
            expected = await answered(client, CHAT, **chat_line("a")["body"])
            for line in done:
                assert line.keys() == {"id", "custom_id", "response", "error"}
                assert line["error"] is None
                assert line["response"]["status_code"] == 200
                assert line["response"]["body"]["choices"] == expected["choices"]
            usage = [line["response"]["body"]["usage"] for line in done]
            assert batch["usage"]["input_tokens"] == sum(one["prompt_tokens"] for one in usage)
            assert batch["usage"]["output_tokens"] == sum(one["completion_tokens"] for one in usage)
            (line,) = await lines_in(client, batch["error_file_id"])
            assert (line["custom_id"], line["error"]) == ("wrong", None)
            assert line["response"]["status_code"] == 400
            refused = await client.post(CHAT, json=wrong["body"])
            assert line["response"]["body"] == refused.json()
            assert services.batches is not None
            await without_lines(services.batches, batch["id"])

    asyncio.run(run())


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"input_file_id": "file-1"}, "input_file_id"),
    ({"input_file_id": None}, "input_file_id"),
    ({"endpoint": "/v1/embeddings"}, "endpoint"),
    ({"completion_window": "0h"}, "completion_window"),
    ({"completion_window": "169h"}, "completion_window"),
    ({"completion_window": "1 day"}, "completion_window"),
    ({"completion_window": 24}, "completion_window"),
    ({"metadata": {"a": "b" * 513}}, "metadata.a"),
    ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, "output_expires_after.seconds"),
    ({"more": 1}, "more"),
]


def test_what_makes_no_batch(make_services: MakeServices, tmp_path: Path) -> None:
    """The field is named; a file of another purpose, or another owner's, is not there."""
    settings = {"batch_max_bytes": 300, "batch_max_bytes_per_owner": 500}
    services = make_services(Held().engine, state=tmp_path, **settings)

    async def run() -> None:
        async with running(services) as client:
            file_id = await uploaded(client, jsonl([chat_line("a")]))
            for fields, param in WRONG:
                response = await asked(client, **{"file_id": file_id} | fields)
                assert (response.status_code, response.json()["error"]["param"]) == (400, param), fields
            image = await uploaded(client, b"x", "user_data")
            assert (await asked(client, image)).json()["error"]["code"] == "file_not_found"
            large = await uploaded(client, jsonl([chat_line("a", "x" * 300)]))
            assert (await asked(client, large)).json()["error"]["code"] == "batch_too_large"
            middling = await uploaded(client, jsonl([chat_line("a", "x" * 140)]))
            assert (await asked(client, middling)).status_code == 200
            refused = await asked(client, middling)
            assert refused.json()["error"]["code"] == "batch_limit_exceeded"

    asyncio.run(run())


def test_no_batch_without_room(make_services: MakeServices, tmp_path: Path) -> None:
    """Outputs of batches go beyond an owner's room once: the next batch is refused until there is some."""
    services = make_services(ScriptedEngine(ANSWER), state=tmp_path, files_max_bytes_per_owner=8192)

    async def run() -> None:
        async with running(services) as client:
            file_id = await uploaded(client, jsonl([chat_line(str(number)) for number in range(20)]))
            batch = await ended(client, (await asked(client, file_id)).json()["id"])
            assert batch["status"] == "completed"
            refused = await asked(client, file_id)
            assert (refused.status_code, refused.json()["error"]["code"]) == (400, "file_quota_exceeded")
            assert "of 8192 (files_max_bytes_per_owner) are used" in refused.json()["error"]["message"]
            await client.delete(f"/v1/files/{batch['output_file_id']}")
            assert (await asked(client, file_id)).status_code == 200

    asyncio.run(run())


def test_lists(make_services: MakeServices, tmp_path: Path) -> None:
    """The newest first, page by page."""

    async def run() -> None:
        async with running(make_services(ScriptedEngine(ANSWER), state=tmp_path)) as client:
            assert await fetched(client, PATH) == {
                "data": [],
                "first_id": None,
                "last_id": None,
                "has_more": False,
                "object": "list",
            }
            ids = [(await created(client, jsonl([chat_line("a")])))["id"] for _ in range(3)]
            newest = ids[::-1]
            page = await fetched(client, PATH, limit="2")
            assert [checked(batch)["id"] for batch in page["data"]] == newest[:2]
            assert (page["first_id"], page["last_id"], page["has_more"]) == (*newest[:2], True)
            page = await fetched(client, PATH, after=newest[1])
            assert [batch["id"] for batch in page["data"]] == newest[2:]
            assert not page["has_more"]
            for query, param in (("after=batch_1", "after"), ("limit=0", "limit"), ("order=asc", "order")):
                response = await client.get(f"{PATH}?{query}")
                assert (response.status_code, response.json()["error"]["param"]) == (400, param)

    asyncio.run(run())


def test_owners(make_services: MakeServices, tmp_path: Path) -> None:
    """Another's batch is not there: not to be seen, listed, cancelled; nor a batch of another's file."""
    keys = write_keys(tmp_path / "keys.yaml", alice={}, bob={})
    alice, bob = bearer("alice"), bearer("bob")

    async def run() -> None:
        services = make_services(ScriptedEngine(ANSWER), state=tmp_path, keys_file=str(keys))
        async with running(services) as client:
            file_id = await uploaded(client, jsonl([chat_line("a")]), headers=alice)
            assert (await asked(client, file_id, bob)).json()["error"]["code"] == "file_not_found"
            batch = (await asked(client, file_id, alice)).json()
            for method, path in (("GET", ""), ("POST", "/cancel")):
                response = await client.request(method, f"{PATH}/{batch['id']}{path}", headers=bob)
                assert response.status_code == 404
            assert (await client.get(PATH, headers=bob)).json()["data"] == []
            assert (await ended(client, batch["id"], alice))["request_counts"]["completed"] == 1

    asyncio.run(run())


def test_cancelled(make_services: MakeServices, tmp_path: Path) -> None:
    """What is answered by then is given out, the rest is said not to be; once ended it can't be."""
    held = Held()
    engine = held.engine
    steps = engine.steps
    engine.steps = ANSWER

    async def run() -> None:
        services = make_services(engine, state=tmp_path)
        async with running(services) as client:
            done = await created(client, jsonl([chat_line("a")]))
            await ended(client, done["id"])
            refused = await client.post(f"{PATH}/{done['id']}/cancel")
            assert refused.status_code == 400
            assert refused.json()["error"]["message"] == "Cannot cancel a batch with status 'completed'"
            engine.steps = steps
            batch = await created(client, jsonl([chat_line("a"), chat_line("b")]))
            await asyncio.wait_for(held.reached.wait(), WAIT_S)
            response = await client.post(f"{PATH}/{batch['id']}/cancel")
            assert checked(response.json())["status"] == "cancelling"
            batch = await in_state(client, batch["id"], "cancelled")
            assert batch["cancelling_at"] <= batch["cancelled_at"]
            assert batch["request_counts"] == {"total": 2, "completed": 0, "failed": 0}
            assert batch["output_file_id"] is None
            lines = await lines_in(client, batch["error_file_id"])
            assert [(line["custom_id"], line["response"]) for line in lines] == [("a", None), ("b", None)]
            assert {line["error"]["code"] for line in lines} == {"batch_cancelled"}
            await asyncio.wait_for(engine.closed.wait(), WAIT_S)

    asyncio.run(run())


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_files_there_are_none(make_services: MakeServices, method: str) -> None:
    """A server that stores nothing says so."""

    async def run() -> None:
        async with running(make_services(ScriptedEngine(ANSWER))) as client:
            response = await client.request(method, PATH, content=json.dumps({}))
            assert response.status_code == 404
            assert "files_url" in response.json()["error"]["message"]

    asyncio.run(run())
