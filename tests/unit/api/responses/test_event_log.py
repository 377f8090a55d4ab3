"""Events in memory: read by any number, from any event on, while they come and afterwards."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from phiserve.api.app import create_app
from phiserve.api.responses import background, event_log, keeping
from phiserve.api.responses.draft import ItemAdded, ItemBegun, ItemEnded, TextItem
from phiserve.api.responses.event_log import NUM_QUEUED_EVENTS, EventLog, EventLogs, frames_of
from phiserve.api.services import Services
from phiserve.protocol.responses.request import ResponsesRequest
from phiserve.protocol.responses.response import ResponseObject
from phiserve.protocol.responses.translation import begun_response
from responses_types import events_of
from scripted import ScriptedEngine
from serving import serving
from stateful import PATH, WAIT_S
from wire import ANSWER

MakeServices = Callable[..., Services]


def queued(response_id: str = "resp_1") -> ResponseObject:
    """A response that waits for its turn."""
    asked = ResponsesRequest.model_validate({"input": "Hi", "background": True})
    return replace(begun_response(asked, response_id, "m"), status="queued")


def answer(log: EventLog) -> None:
    """All of an answer."""
    item = TextItem(0)
    log.begin(queued())
    log.tell([ItemBegun(item)])
    for text in ("a\n\n", "b"):
        item.texts.append(text)
        log.tell([ItemAdded(item, text, [])])
    log.tell([ItemEnded(item, "completed")])


def test_everyone_reads_all_of_it() -> None:
    """Early, late and in between, by the numbers; what comes while nobody reads is there as well."""

    async def run() -> None:
        log = EventLog()

        async def read(first: int) -> list[bytes]:
            return [frame async for frames in log.read(first) for frame in frames]

        early, behind = asyncio.create_task(read(2)), asyncio.create_task(read(6))
        await asyncio.sleep(0)
        assert not log.has_answer
        answer(log)
        assert log.has_answer
        middle = asyncio.create_task(read(3))
        await asyncio.sleep(0)
        log.end(replace(queued(), status="completed"))
        whole = await read(2)
        kinds = [event["type"] for event in events_of(b"".join(whole).decode(), NUM_QUEUED_EVENTS)]
        assert kinds[:2] == ["response.in_progress", "response.output_item.added"]
        assert await early == whole
        assert (await middle, await behind) == (whole[1:], whole[4:])
        assert await read(99) == []

    asyncio.run(run())


def test_it_begins_once() -> None:
    """However often it is tried until the engine answers."""
    log = EventLog()
    log.begin(queued())
    log.begin(queued())
    log.tell([ItemBegun(TextItem(0))])
    assert log.has_answer

    async def kinds() -> list[str]:
        log.close()
        frames = [frame async for frames in log.read(2) for frame in frames]
        return [event["type"] for event in events_of(b"".join(frames).decode(), 2)]

    assert asyncio.run(kinds()).count("response.in_progress") == 1


def test_frames() -> None:
    """Several events at once are told apart, whatever stands in them."""
    assert frames_of(b'event: a\ndata: "\\n\\n"\n\nevent: b\ndata: 1\n\n') == [
        b'event: a\ndata: "\\n\\n"\n\n',
        b"event: b\ndata: 1\n\n",
    ]
    assert frames_of(b"") == []


def test_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole logs, the latest ended, up to the limit; what ended too soon or is deleted is not."""
    logs = EventLogs()
    ids = ("resp_1", "resp_2", "resp_3")
    for response_id in (*ids, "resp_cut"):
        logs.begin(response_id)
    sizes = []
    for response_id in ids:
        log = logs.get(response_id)
        assert log is not None
        log.end(replace(queued(response_id), status="completed"))
        sizes.append(log.num_bytes)
    monkeypatch.setattr(event_log, "MAX_BYTES", sum(sizes[1:]))
    for response_id in (*ids, "resp_cut", "resp_unknown"):
        logs.close(response_id)
        logs.close(response_id)
    assert [logs.get(response_id) is not None for response_id in (*ids, "resp_cut")] == [
        False,
        True,
        True,
        False,
    ]
    logs.forget("resp_2")
    logs.forget("resp_2")
    assert (logs.get("resp_2"), logs.get("resp_3") is not None) == (None, True)


def test_renewed_as_it_ends(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has just ended is not taken for what nobody wants any more: its events stay."""
    app = create_app(make_services(ScriptedEngine(ANSWER), state=tmp_path))
    save = keeping.save_ended

    async def save_and_renew(*arguments: Any) -> object:
        saved = await save(*arguments)
        await app.state.background.keeper.renew()
        return saved

    monkeypatch.setattr(background, "save_ended", save_and_renew)

    async def run() -> None:
        async with serving(app) as server:
            base = f"http://127.0.0.1:{server.port}{PATH}"
            async with httpx.AsyncClient(timeout=WAIT_S) as client:
                asked = {"input": "Hi", "background": True, "stream": True}
                events = events_of((await client.post(base, json=asked)).text)
                again = await client.get(f"{base}/{events[0]['response']['id']}", params={"stream": "true"})
                assert events_of(again.text) == events

    asyncio.run(run())
