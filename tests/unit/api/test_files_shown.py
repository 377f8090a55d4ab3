"""Files in requests, over the whole application: in the body, uploaded before, and kept with a response."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import httpx

from images import data_url, encode, noise
from key_files import bearer, secret_of, write_keys
from pdfs import file_part, pdf, text_page
from phiserve.api.batches.answering import AskedBy, LineAnswerer
from phiserve.api.services import Services
from phiserve.chat.special_tokens import Control
from reading import ReadingEngine
from scripted import ScriptedEngine
from stateful import fetched, running
from wire import ANSWER, post

MakeServices = Callable[..., Services]
TWO = pdf(text_page("One"), text_page("Two"))
CHAT = "/v1/chat/completions"
DECISIONS: Literal["/v1/decisions"] = "/v1/decisions"


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


def asked(*parts: object, own: Sequence[object] = ()) -> dict[str, object]:
    """A request for a decision about parts, with a question that has some of its own."""
    instructions = [*own, {"type": "input_text", "text": "Like this?"}]
    question = {"type": "predicate", "instructions": instructions}
    return {"model": "m", "input": [{"role": "user", "content": parts}], "questions": [question]}


def test_decisions_show_pages(make_services: MakeServices, tmp_path: Path) -> None:
    """Of the input and of a question, as their pictures would be shown; all are charged."""
    keys = write_keys(tmp_path / "keys.yaml", alice={"images_per_minute": 3}, bob={"images_per_minute": 3})
    engine = ReadingEngine()
    services = make_services(engine, keys_file=str(keys))
    two = {"type": "input_file", "file_data": data_url(TWO, "application/pdf"), "detail": "low"}
    body = asked(two, own=[two | {"pages": "2"}])
    answer = post(services, body, path=DECISIONS, headers=bearer("alice"))
    assert answer.status_code == 200, answer.text
    (generation,) = engine.generations
    shown = [image.key for image in generation.images]
    assert shown[1] == shown[2] != shown[0]
    assert answer.json()["usage"]["input_tokens"] == len(generation.prompt_ids)
    ids = generation.prompt_ids
    first, second, third = (image.offset for image in generation.images)
    assert second - first == 313 + 3  # "\n" and <s>
    assert third - second > 313 + 3
    assert ids[first] == ids[second] == ids[third] == Control.IMAGE
    refused = post(services, asked(*[two] * 2), path=DECISIONS, headers=bearer("bob"))
    assert refused.json()["error"]["code"] == "too_many_images"
    missing = post(services, asked(two | {"pages": "3"}), path=DECISIONS, headers=bearer("bob"))
    assert missing.json()["error"]["param"] == "input[0].content[0].pages"


def test_decisions_about_uploaded_files(make_services: MakeServices, tmp_path: Path) -> None:
    """In the input and in a question, also a PDF's pages; not those of another owner."""
    keys = write_keys(tmp_path / "keys.yaml", alice={}, bob={})
    engine = ReadingEngine()
    services = make_services(engine, state=tmp_path, keys_file=str(keys))
    image = encode(noise(40, 30))

    async def run() -> None:
        async with running(services) as client:
            picture, document = [await uploaded(client, content) for content in (image, TWO)]
            shown = {"type": "input_image", "file_id": picture, "detail": "low"}
            file = {"type": "input_file", "file_id": document, "detail": "low"}
            sent = {"type": "input_image", "image_url": data_url(image), "detail": "low"}
            for body in (asked(shown, own=[file]), asked(sent)):
                answer = await client.post(DECISIONS, json=body, headers=bearer("alice"))
                assert answer.status_code == 200, answer.text
            for body, param in (
                (asked(shown), "input[0].content[0].file_id"),
                (asked(own=[shown]), "questions[0].instructions[0].file_id"),
                (asked(own=[file]), "questions[0].instructions[0].file_id"),
            ):
                refused = await client.post(DECISIONS, json=body, headers=bearer("bob"))
                error = refused.json()["error"]
                assert (refused.status_code, error["code"]) == (400, "file_not_found")
                assert error["param"] == param
            line = json.dumps(asked(shown, own=[file])).encode()
            for owner, status in (("alice", 200), ("bob", 400)):
                key = services.gate.key_of(secret_of(owner).encode()) if services.gate else None
                assert key is not None
                answerer, by = LineAnswerer(services), AskedBy(owner, key.id)
                async with answerer.visit(by) as visit:
                    answered = await answerer.answer(DECISIONS, line, by, visit)
                assert answered.status_code == status

    asyncio.run(run())
    first, second, _ = engine.generations
    assert len(first.images) == 3
    assert first.images[0].key == second.images[0].key
    assert first.prompt_ids[: first.images[1].offset - 20] == second.prompt_ids[: first.images[1].offset - 20]


async def uploaded(client: httpx.AsyncClient, content: bytes) -> str:
    """The id of a file of Alice's."""
    files, data = {"file": ("a", content)}, {"purpose": "user_data"}
    made = await client.post("/v1/files", data=data, files=files, headers=bearer("alice"))
    return str(made.json()["id"])


def test_uploaded_files(make_services: MakeServices, tmp_path: Path) -> None:
    """A PDF stands for its pages, an image for itself; neither for another owner."""
    keys = write_keys(tmp_path / "keys.yaml", alice={}, bob={})
    engine = ScriptedEngine(ANSWER)
    services = make_services(engine, state=tmp_path, keys_file=str(keys))

    async def run() -> None:
        async with running(services) as client:
            ids = [await uploaded(client, content) for content in (TWO, encode(noise(40, 30)))]
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
