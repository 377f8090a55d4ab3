"""Files in requests, over the whole application: in the body, uploaded before, and kept with a response."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx

from images import data_url, encode, noise
from key_files import bearer, write_keys
from pdfs import file_part, pdf, text_page
from phiserve.api.services import Services
from scripted import ScriptedEngine
from stateful import fetched, running
from wire import ANSWER, post

MakeServices = Callable[..., Services]
TWO = pdf(text_page("One"), text_page("Two"))
CHAT = "/v1/chat/completions"


def message(*parts: object) -> dict[str, object]:
    """A request of one message."""
    return {"model": "m", "messages": [{"role": "user", "content": parts}]}


def test_pages_are_counted(make_services: MakeServices) -> None:
    """As `/tokenize` counts images, each with its size and place."""
    body = message(file_part(TWO, detail="low"), {"type": "text", "text": "?"})
    told = post(make_services(ScriptedEngine(ANSWER)), body, path="/tokenize").json()
    assert [(image["tokens"], image["size"]) for image in told["images"]] == [(313, [949, 1344])] * 2
    assert told["images"][1]["offset"] - told["images"][0]["offset"] == 313 + 3  # "\n" and <s>


def test_pages_are_charged(make_services: MakeServices, tmp_path: Path) -> None:
    """Each is an image of the key's, once the PDF is opened."""
    limits: dict[str, object] = {"images_per_minute": 3}
    keys = write_keys(tmp_path / "keys.yaml", alice=limits, bob=limits, eve=limits)
    services = make_services(ScriptedEngine(ANSWER), keys_file=str(keys))
    headers = bearer("alice")
    assert post(services, message(file_part(TWO, detail="low")), headers=headers).status_code == 200
    refused = post(services, message(file_part(TWO, detail="low")), headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    never = post(services, message(*[file_part(TWO, detail="low")] * 2), headers=bearer("bob"))
    error = never.json()["error"]
    assert (error["code"], error["param"]) == ("too_many_images", "messages[0].content[1].file.file_data")
    parts = [*[file_part(TWO, detail="low")] * 2, {"type": "text", "text": "word " * 10_000}]
    counted = post(services, message(*parts), headers=bearer("eve"), path="/tokenize")
    assert counted.json()["error"]["code"] == "too_many_images"  # before the text is found to be too long


def test_refused_at_their_place(make_services: MakeServices) -> None:
    """By chat, by Responses, and by the routes that count."""
    services = make_services(ScriptedEngine(ANSWER))
    text = data_url(b"text", "application/pdf")
    item = {"role": "user", "content": [{"type": "input_file", "file_data": text}]}
    for path, body, param in (
        (CHAT, message(file_part(b"text")), "messages[0].content[0].file.file_data"),
        ("/tokenize", message(file_part(b"text")), "messages[0].content[0].file.file_data"),
        ("/v1/responses", {"model": "m", "input": [item], "store": False}, "input[0].content[0].file_data"),
        ("/v1/responses/input_tokens", {"model": "m", "input": [item]}, "input[0].content[0].file_data"),
    ):
        response = post(services, body, path=path)
        error = response.json()["error"]
        assert (response.status_code, error["param"], error["code"]) == (400, param, "invalid_pdf"), path


def test_a_response_keeps_its_files(make_services: MakeServices, tmp_path: Path) -> None:
    """They are shown as they were sent, and stand in what goes on from it."""
    engine = ScriptedEngine(ANSWER)
    services = make_services(engine, state=tmp_path)
    url = data_url(TWO, "application/pdf")
    part = {"type": "input_file", "file_data": url, "filename": "a.pdf", "pages": "2", "detail": "low"}

    async def run() -> None:
        async with running(services) as client:
            asked = {"model": "m", "input": [{"role": "user", "content": [part]}]}
            first = (await client.post("/v1/responses", json=asked)).json()
            items = await fetched(client, f"/v1/responses/{first['id']}/input_items")
            assert items["data"][0]["content"] == [part]
            going_on = {"model": "m", "input": "And?", "previous_response_id": first["id"]}
            second = (await client.post("/v1/responses", json=going_on)).json()
            assert second["status"] == "completed"

    asyncio.run(run())
    assert [len(generation.images) for generation in engine.generations] == [1, 1]
    assert engine.generations[0].images[0].key == engine.generations[1].images[0].key


def test_uploaded_files(make_services: MakeServices, tmp_path: Path) -> None:
    """A PDF stands for its pages, an image for itself; neither for another owner."""
    keys = write_keys(tmp_path / "keys.yaml", alice={}, bob={})
    engine = ScriptedEngine(ANSWER)
    services = make_services(engine, state=tmp_path, keys_file=str(keys))

    async def upload(client: httpx.AsyncClient, content: bytes) -> str:
        files, data = {"file": ("a", content)}, {"purpose": "user_data"}
        made = await client.post("/v1/files", data=data, files=files, headers=bearer("alice"))
        return str(made.json()["id"])

    async def run() -> None:
        async with running(services) as client:
            ids = [await upload(client, content) for content in (TWO, encode(noise(40, 30)))]
            parts = [{"type": "file", "file": {"file_id": file_id, "detail": "low"}} for file_id in ids]
            answer = await client.post(CHAT, json=message(*parts), headers=bearer("alice"))
            assert answer.status_code == 200
            for part in parts:
                refused = await client.post(CHAT, json=message(part), headers=bearer("bob"))
                error = refused.json()["error"]
                assert error["code"] == "file_not_found"
                assert error["param"] == "messages[0].content[0].file.file_id"

    asyncio.run(run())
    (generation,) = engine.generations
    assert len(generation.images) == 3
