"""Responses that are stored: shown, deleted, cancelled, listed; to their owner alone."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import ResponseItem
from openai.types.responses.response_item_list import ResponseItemList
from pydantic import TypeAdapter

from key_files import bearer, write_keys
from phiserve.api.services import Services
from responses_types import Specification
from scripted import ScriptedEngine
from stateful import PATH, answered, fetched, running
from wire import ANSWER, call

MakeServices = Callable[..., Services]
UNKNOWN = "Response with id 'resp_0' not found."


def test_a_response_is_deleted(make_services: MakeServices, tmp_path: Path) -> None:
    """Once; what follows from it stays as it is."""

    async def run() -> None:
        async with running(make_services(ScriptedEngine(ANSWER), state=tmp_path)) as client:
            first = await answered(client, input="Hi")
            second = await answered(client, input="So?", previous_response_id=first["id"])
            path = f"{PATH}/{first['id']}"
            deleted = (await client.delete(path)).json()
            assert deleted == {"id": first["id"], "object": "response", "deleted": True}
            for method in ("GET", "DELETE"):
                response = await client.request(method, path)
                assert (response.status_code, response.json()["error"]["message"]) == (
                    404,
                    UNKNOWN.replace("resp_0", first["id"]),
                )
            items = await fetched(client, f"{PATH}/{second['id']}/input_items", order="asc")
            texts = [item["content"][0]["text"] for item in items["data"]]
            assert texts == ["Hi", "Hello", "So?"]
            third = await answered(client, input="Oh?", previous_response_id=second["id"])
            assert third["usage"]["input_tokens"] > second["usage"]["input_tokens"]

    asyncio.run(run())


def test_input_items(make_services: MakeServices, tmp_path: Path, reference: Path) -> None:
    """In pages, from either end, as OpenAI's types and specification have them."""
    given: Any = [{"role": "user", "content": str(number)} for number in range(5)]

    async def run() -> None:
        async with running(make_services(ScriptedEngine(ANSWER), state=tmp_path)) as client:
            path = f"{PATH}/{(await answered(client, input=given))['id']}/input_items"
            whole = await fetched(client, path)
            Specification(reference).validate("ResponseItemList", whole)
            ResponseItemList.model_validate(whole, strict=True)
            for item in whole["data"]:
                TypeAdapter(ResponseItem).validate_python(item, strict=True)
            ids = [item["id"] for item in whole["data"]]
            assert [item["content"][0]["text"] for item in whole["data"]] == list("43210")
            assert (whole["first_id"], whole["last_id"], whole["has_more"]) == (ids[0], ids[-1], False)
            page = await fetched(client, path, after=ids[1], limit="2")
            assert ([item["id"] for item in page["data"]], page["has_more"]) == (ids[2:4], True)
            query = {"order": "asc", "after": ids[0], "include": "message.input_image.image_url"}
            page = await fetched(client, path, **query)
            assert (page["data"], page["first_id"], page["has_more"]) == ([], "", False)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/input_items?limit=0", "limit"),
        ("/input_items?order=up", "order"),
        ("/input_items?page=2", "page"),
        ("?stream=yes", "stream"),
        ("?starting_after=x", "starting_after"),
        ("?stream=true&starting_after=-1", "starting_after"),
        ("?stream=true&starting_after=1e3", "starting_after"),
        ("?stream=true&include_obfuscation=true", "include_obfuscation"),
    ],
)
def test_queries_that_are_refused(make_services: MakeServices, tmp_path: Path, path: str, param: str) -> None:
    """By the parameter's name."""

    async def run() -> None:
        async with running(make_services(ScriptedEngine(ANSWER), state=tmp_path)) as client:
            told = await answered(client, input="Hi")
            response = await client.get(f"{PATH}/{told['id']}{path}")
            assert (response.status_code, response.json()["error"]["param"]) == (400, param)
            assert (await fetched(client, f"{PATH}/{told['id']}", stream="false")) == told
            whole = {"stream": "false", "starting_after": "0", "include_obfuscation": "true"}
            assert (await fetched(client, f"{PATH}/{told['id']}", **whole)) == told

    asyncio.run(run())


def test_events_are_numbered_as_documented(make_services: MakeServices, tmp_path: Path) -> None:
    """Up to the very number that the OpenAPI document has as the largest."""

    async def run() -> None:
        async with running(make_services(ScriptedEngine(ANSWER), state=tmp_path)) as client:
            told = await answered(client, input="Hi")
            document = await fetched(client, "/openapi.json")
            documented = document["paths"][f"{PATH}/{{response_id}}"]["get"]["parameters"]
            (bounds,) = (one["schema"] for one in documented if one["name"] == "starting_after")
            lowest, highest = bounds["minimum"], bounds["maximum"]
            for number, status in (
                (str(lowest), 200),
                (str(highest), 200),
                (f"{'0' * 5000}{highest}", 200),
                (str(lowest - 1), 400),
                (str(highest + 1), 400),
                ("9" * 5000, 400),
            ):
                response = await client.get(f"{PATH}/{told['id']}", params={"starting_after": number})
                assert response.status_code == status, number[-12:]

    asyncio.run(run())


def test_only_the_background_is_cancelled(make_services: MakeServices, tmp_path: Path) -> None:
    """In OpenAI's words."""

    async def run() -> None:
        async with running(make_services(ScriptedEngine(ANSWER), state=tmp_path)) as client:
            told = await answered(client, input="Hi")
            response = await client.post(f"{PATH}/{told['id']}/cancel")
            error = response.json()["error"]
            assert (response.status_code, error["message"]) == (400, "Cannot cancel a synchronous response.")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "rest"),
    [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items"), ("HEAD", "")],
)
@pytest.mark.parametrize("is_stored", [True, False])
def test_what_is_not_there(
    make_services: MakeServices, tmp_path: Path, method: str, rest: str, is_stored: bool
) -> None:
    """404 in OpenAI's words, with the request's id; a server that stores nothing says so."""
    state = tmp_path if is_stored else None

    async def run() -> None:
        async with running(make_services(ScriptedEngine(), state=state)) as client:
            response = await client.request(method, f"{PATH}/resp_0{rest}", headers={"x-request-id": "mine"})
            assert (response.status_code, response.headers["x-request-id"]) == (404, "mine")
            if method != "HEAD":
                message = response.json()["error"]["message"]
                assert message == UNKNOWN if is_stored else "state_url" in message

    asyncio.run(run())


def test_what_is_another_owner_s(make_services: MakeServices, tmp_path: Path) -> None:
    """Does not exist: not to be shown, continued, referred to, cancelled or deleted. Without a key: 401."""
    keys = write_keys(tmp_path / "keys.yaml", alice={}, bob={})
    alice, bob = bearer("alice"), bearer("bob")

    async def run() -> None:
        services = make_services(ScriptedEngine(ANSWER), state=tmp_path, keys_file=str(keys))
        async with running(services) as client:
            body = {"input": "Hi"}
            told = (await client.post(PATH, json=body, headers=alice)).json()
            path = f"{PATH}/{told['id']}"
            for method, rest in (("GET", ""), ("GET", "/input_items"), ("POST", "/cancel"), ("DELETE", "")):
                assert (await client.request(method, path + rest, headers=bob)).status_code == 404
                assert (await client.request(method, path + rest)).status_code == 401
            continued = {"input": "So?", "previous_response_id": told["id"]}
            assert (await client.post(PATH, json=continued, headers=bob)).status_code == 400
            referring = {"input": [{"type": "item_reference", "id": told["output"][0]["id"]}]}
            assert (await client.post(PATH, json=referring, headers=bob)).status_code == 404
            assert (await client.post(PATH, json=continued, headers=alice)).status_code == 200
            assert (await client.get(path, headers=alice)).json() == told

    asyncio.run(run())


def test_the_document_has_them(make_services: MakeServices) -> None:
    """All routes, with their parameters."""
    paths = call(make_services(ScriptedEngine()), "GET", "/openapi.json").json()["paths"]
    listed = paths[f"{PATH}/{{response_id}}/input_items"]["get"]
    assert [parameter["name"] for parameter in listed["parameters"]] == [
        "response_id",
        "after",
        "limit",
        "order",
        "include",
    ]
    assert {"get", "delete"} == paths[f"{PATH}/{{response_id}}"].keys()
    assert "post" in paths[f"{PATH}/{{response_id}}/cancel"]
