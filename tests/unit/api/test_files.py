"""`/v1/files`: uploaded, listed, fetched, deleted, and named in requests; each its owner's alone."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai.types import FileDeleted, FileObject

from images import encode, noise
from kept_files import in_folder
from key_files import bearer, write_keys
from phiserve.api.services import Services
from phiserve.media.content_budget import ContentShare
from phiserve.turns import Line
from responses_types import Specification
from scripted import ScriptedEngine
from stateful import answered, fetched, running
from wire import ANSWER, call

MakeServices = Callable[..., Services]
PATH = "/v1/files"
IMAGE = encode(noise(40, 30))
NOTHING: Mapping[str, str] = {}
HOUR = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}


async def uploaded(
    client: httpx.AsyncClient,
    content: bytes = IMAGE,
    name: str = "a.png",
    headers: dict[str, str] | None = None,
    fields: Mapping[str, str] = NOTHING,
) -> httpx.Response:
    """The answer to an upload, of the purpose `vision` unless another is given."""
    data = {"purpose": "vision", **fields}
    return await client.post(PATH, data=data, files={"file": (name, content, "image/png")}, headers=headers)


def on_files(services: Services, use: Callable[[httpx.AsyncClient], Any]) -> None:
    """Do something with an application that runs."""

    async def run() -> None:
        async with running(services) as client:
            await use(client)

    asyncio.run(run())


def test_a_file(make_services: MakeServices, tmp_path: Path, reference: Path) -> None:
    """In OpenAI's forms, from its upload to its end; its bytes are gone with it."""
    specification = Specification(reference)
    services = make_services(ScriptedEngine(), state=tmp_path)

    async def use(client: httpx.AsyncClient) -> None:
        made = (await uploaded(client, name="Städte “1”.png", fields=HOUR)).json()
        assert (made["bytes"], made["filename"]) == (len(IMAGE), "Städte “1”.png")
        assert made["expires_at"] == made["created_at"] + 3600
        lasting = (await uploaded(client, name="b")).json()
        assert "expires_at" not in lasting
        path = f"{PATH}/{made['id']}"
        assert await fetched(client, path) == made
        for told in (made, lasting):
            specification.validate("OpenAIFile", told)
            FileObject.model_validate(told, strict=True)
        content = await client.get(f"{path}/content")
        assert content.content == IMAGE
        assert content.headers["content-length"] == str(len(IMAGE))
        assert content.headers["content-type"] == "application/octet-stream"
        assert content.headers["content-disposition"].startswith("attachment; filename*=UTF-8''St%C3%A4dte")
        deleted = (await client.delete(path)).json()
        specification.validate("DeleteFileResponse", deleted)
        FileDeleted.model_validate(deleted, strict=True)
        for method, at in (("GET", path), ("DELETE", path), ("GET", f"{path}/content")):
            response = await client.request(method, at)
            assert (response.status_code, response.json()["error"]["code"]) == (404, "file_not_found")
        assert (await client.delete(f"{PATH}/{lasting['id']}")).status_code == 200

    on_files(services, use)
    assert in_folder(tmp_path / "files")() == []


def test_lists(make_services: MakeServices, tmp_path: Path, reference: Path) -> None:
    """In pages, both ways, of one purpose."""

    async def use(client: httpx.AsyncClient) -> None:
        empty = await fetched(client, PATH)
        assert (empty["data"], empty["has_more"]) == ([], False)
        made = [(await uploaded(client, bytes([n]), f"{n}")).json() for n in range(5)]
        other = (await uploaded(client, fields={"purpose": "user_data"})).json()
        whole = await fetched(client, PATH)
        Specification(reference).validate("ListFilesResponse", whole)
        assert whole["data"] == [other, *made[::-1]]
        assert (await fetched(client, PATH, purpose="user_data"))["data"] == [other]
        page = await fetched(client, PATH, order="asc", limit="2", after=made[1]["id"])
        assert (page["data"], page["has_more"]) == (made[2:4], True)
        assert (page["first_id"], page["last_id"]) == (made[2]["id"], made[3]["id"])
        page = await fetched(client, PATH, order="desc", limit="2", after=made[1]["id"])
        assert (page["data"], page["has_more"]) == (made[:1], False)
        for query in (
            {"limit": "0"},
            {"limit": "10001"},
            {"order": "up"},
            {"after": "file-x"},
            {"page": "1"},
        ):
            response = await client.get(PATH, params=query)
            assert (response.status_code, response.json()["error"]["param"]) == (400, *query)

    on_files(make_services(ScriptedEngine(), state=tmp_path), use)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"purpose": "assistants"}, "purpose", "invalid_value"),
        ({"expires_after[anchor]": "created_at"}, "expires_after.seconds", "missing_required_parameter"),
        (HOUR | {"expires_after[seconds]": "3599"}, "expires_after.seconds", "invalid_value"),
        (HOUR | {"expires_after[seconds]": "x"}, "expires_after.seconds", "invalid_type"),
        ({"filename": "b"}, "filename", "unknown_parameter"),
        ({"colour": "red"}, "colour", "unknown_parameter"),
        ({"colour": "r" * 5000}, "colour", "invalid_value"),
    ],
)
def test_wrong_fields(
    make_services: MakeServices, tmp_path: Path, fields: dict[str, str], param: str, code: str
) -> None:
    """Each is named, and nothing is kept."""

    async def use(client: httpx.AsyncClient) -> None:
        error = (await uploaded(client, fields=fields)).json()["error"]
        assert (error["param"], error["code"]) == (param, code)
        assert (await fetched(client, PATH))["data"] == []

    on_files(make_services(ScriptedEngine(), state=tmp_path), use)
    assert in_folder(tmp_path / "files")() == []


def test_limits(make_services: MakeServices, tmp_path: Path) -> None:
    """Of one file, and of all that an owner has; what is deleted makes room."""
    services = make_services(
        ScriptedEngine(), state=tmp_path, files_max_bytes=10_000, files_max_bytes_per_owner=15_000
    )

    async def use(client: httpx.AsyncClient) -> None:
        large = await uploaded(client, bytes(10_001))
        assert large.status_code == 413
        announced = await uploaded(client, bytes(10_000_000))  # refused before it is read
        assert announced.status_code == 413
        for refused in (large, announced):
            assert "(files_max_bytes)" in refused.json()["error"]["message"]
        assert "10000 bytes (files_max_bytes)" in large.json()["error"]["message"]
        first = await uploaded(client, bytes(10_000))
        assert first.status_code == 200
        refused = await uploaded(client, bytes(5_001))
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "file_quota_exceeded")
        assert "files_max_bytes_per_owner" in refused.json()["error"]["message"]
        assert (await uploaded(client, bytes(5_000))).status_code == 200
        assert (await uploaded(client, b"")).status_code == 400
        await client.delete(f"{PATH}/{first.json()['id']}")
        assert (await uploaded(client, b"")).status_code == 200

    on_files(services, use)


def test_to_its_owner_alone(make_services: MakeServices, tmp_path: Path) -> None:
    """Another's does not exist, in requests either; without a key nothing does. Uploads count as requests."""
    keys = write_keys(tmp_path / "keys.yaml", alice={}, bob={"requests_per_minute": 3})
    services = make_services(ScriptedEngine(ANSWER), state=tmp_path, keys_file=str(keys))
    alice, bob = bearer("alice"), bearer("bob")

    async def use(client: httpx.AsyncClient) -> None:
        assert (await uploaded(client)).status_code == 401
        made = (await uploaded(client, headers=alice)).json()
        path = f"{PATH}/{made['id']}"
        for at in (path, f"{path}/content"):
            assert (await client.get(at, headers=bob)).status_code == 404
            assert (await client.get(at)).status_code == 401
        assert (await client.delete(path, headers=bob)).status_code == 404
        assert (await client.get(PATH, headers=bob)).json()["data"] == []
        assert (await client.get(PATH, headers=alice)).json()["data"] == [made]
        body = {"model": "m", "messages": [{"role": "user", "content": [shown(made["id"])]}]}
        assert (await client.post("/v1/chat/completions", json=body, headers=alice)).status_code == 200
        refused = await client.post("/v1/chat/completions", json=body, headers=bob)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "file_not_found")
        assert [(await uploaded(client, headers=bob)).status_code for _ in range(3)] == [200, 200, 429]

    on_files(services, use)


def shown(file_id: str) -> dict[str, Any]:
    """An uploaded image as a part of a chat message."""
    return {"type": "image_file", "image_file": {"file_id": file_id}}


def test_named_in_requests(make_services: MakeServices, tmp_path: Path) -> None:
    """The same image as its data URL would be, in chat and in Responses, also in what follows later."""
    engine = ScriptedEngine(ANSWER)
    services = make_services(engine, state=tmp_path)

    async def use(client: httpx.AsyncClient) -> None:
        file_id = (await uploaded(client)).json()["id"]
        input_image: Any = {"type": "input_image", "file_id": file_id, "detail": "low"}
        part = {"type": "image_file", "image_file": {"file_id": file_id, "detail": "low"}}
        chat = {"model": "m", "messages": [{"role": "user", "content": [part]}]}
        asked = {"model": "m", "input": [{"role": "user", "content": [input_image]}]}
        counted = await answered(client, "/tokenize", **chat)
        assert counted["images"][0]["size"] == [40, 30]
        assert (await answered(client, "/v1/responses/input_tokens", **asked))["input_tokens"] == counted[
            "count"
        ]
        await answered(client, "/v1/chat/completions", **chat)
        first = await answered(client, "/v1/responses", **asked)
        items = await fetched(client, f"/v1/responses/{first['id']}/input_items")
        assert items["data"][0]["content"] == [input_image]
        await answered(client, "/v1/responses", model="m", input="And?", previous_response_id=first["id"])
        assert {image.key for asked in engine.generations for image in asked.images} == {
            engine.generations[0].images[0].key
        }
        assert len(engine.generations) == 3
        await client.delete(f"{PATH}/{file_id}")
        for path, body, param in (
            ("/v1/chat/completions", chat, "messages[0].content[0].image_file.file_id"),
            ("/v1/responses", asked, "input[0].content[0].file_id"),
        ):
            error = (await client.post(path, json=body)).json()["error"]
            assert (error["param"], error["code"]) == (param, "file_not_found")

    on_files(services, use)


def test_no_image(make_services: MakeServices, tmp_path: Path) -> None:
    """A file that is no image, none at all, or too large, is refused where an image is expected."""
    services = make_services(ScriptedEngine(ANSWER), state=tmp_path)

    async def use(client: httpx.AsyncClient) -> None:
        for content, code in (
            (b"text", "invalid_image"),
            (b"", "invalid_image"),
            (bytes(20 * 2**20 + 1), "image_too_large"),
        ):
            file_id = (await uploaded(client, content)).json()["id"]
            body = {"model": "m", "messages": [{"role": "user", "content": [shown(file_id)]}]}
            error = (await client.post("/v1/chat/completions", json=body)).json()["error"]
            assert (error["param"], error["code"]) == ("messages[0].content[0].image_file.file_id", code)

    on_files(services, use)


def test_more_than_is_held_at_once(make_services: MakeServices, tmp_path: Path) -> None:
    """Of files that requests name: another is refused until they have ended, whatever it is asked for."""
    limits = {"max_request_image_bytes": 1024, "max_fetched_bytes_in_flight": 2 * len(IMAGE)}
    engine = ScriptedEngine(ANSWER)
    services = make_services(engine, state=tmp_path, **limits)
    budget = services.preparer._images._connector.budget

    async def use(client: httpx.AsyncClient) -> None:
        content = [shown((await uploaded(client)).json()["id"])]
        body = {"model": "m", "messages": [{"role": "user", "content": content}]}
        share = ContentShare(budget, Line(0, "another"))
        share.add(len(IMAGE) + 1)
        for path in ("/tokenize", "/v1/chat/completions"):
            response = await client.post(path, json=body)
            assert (response.status_code, response.headers["retry-after"]) == (429, "1")
        share.let_go()
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200

    on_files(services, use)
    engine.generations.clear()  # an engine of ours would remember nothing of them
    assert budget.held_bytes == 0


def test_a_content_that_is_gone(make_services: MakeServices, tmp_path: Path) -> None:
    """Not found, rather than an answer that breaks off. A type that no header can have is kept as none."""

    async def use(client: httpx.AsyncClient) -> None:
        form = {"file": ("a", b"x", "text/\x00plain")}
        made = (await client.post(PATH, data={"purpose": "vision"}, files=form)).json()
        for name in in_folder(tmp_path / "files")():
            (tmp_path / "files" / name).unlink()
        response = await client.get(f"{PATH}/{made['id']}/content")
        assert (response.status_code, response.json()["error"]["code"]) == (404, "file_not_found")

    on_files(make_services(ScriptedEngine(), state=tmp_path), use)


@pytest.mark.parametrize("settings", [{"state": None}, {"files_url": "off"}])
def test_switched_off(make_services: MakeServices, tmp_path: Path, settings: dict[str, Any]) -> None:
    """Without a store, or without a place for files, there are none, and none can be named."""
    services = make_services(ScriptedEngine(ANSWER), **{"state": tmp_path} | settings)
    response = call(services, "GET", PATH)
    assert response.status_code == 404
    assert "files_url or state_url is off" in response.json()["error"]["message"]
    body = {"model": "m", "messages": [{"role": "user", "content": [shown("file-1")]}]}
    refused = call(services, "POST", "/v1/chat/completions", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unsupported_parameter")
