"""The route: what holds of every route that answers holds of it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from images import data_url, encode, noise
from key_files import bearer, write_keys
from phiserve.api.app import create_app
from phiserve.api.services import Services
from responses_types import Specification, typed_events
from scripted import ScriptedEngine, delta
from stateful import running
from unit.api.test_streaming import SCOPE, LeavingClient
from wire import ANSWER, call, post

MakeServices = Callable[..., Services]
PATH = "/v1/responses"


def asked(services: Services, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    return post(services, {"input": "Hi"}, path=PATH, headers=headers, **fields)


def test_the_model_may_be_left_out(make_services: MakeServices) -> None:
    """The only one answers; any other is a 404 that names it."""
    services = make_services(ScriptedEngine(ANSWER))
    assert asked(services).json()["model"] == "m"
    assert asked(services, model="m").json()["model"] == "m"
    refused = asked(services, model="gpt-5")
    assert (refused.status_code, refused.json()["error"]["param"]) == (404, "model")


def test_a_refusal_is_openai_s_envelope(make_services: MakeServices) -> None:
    """With the path of the value at fault, streamed or not; the engine is never asked."""
    engine = ScriptedEngine(ANSWER)
    content = [{"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}]
    for stream in (False, True):
        response = asked(make_services(engine), input=[{"role": "user", "content": content}], stream=stream)
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "input[0].content[0].image_url"
    assert engine.generations == []


def test_a_prompt_beyond_the_context(make_services: MakeServices) -> None:
    """Refused in chat's words."""
    response = asked(make_services(ScriptedEngine(context_tokens=64)), input="word " * 200)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "context_length_exceeded")


def test_a_body_beyond_the_limit(make_services: MakeServices) -> None:
    """413, as on every route."""
    services = make_services(ScriptedEngine(), max_body_bytes=2000)
    assert asked(services, input="word " * 1000).status_code == 413


@pytest.mark.parametrize("stream", [False, True])
def test_a_deadline(make_services: MakeServices, stream: bool) -> None:
    """The client's own time runs out before anything is said."""

    async def forever() -> None:
        await asyncio.Event().wait()

    engine = ScriptedEngine([forever])  # type: ignore[list-item]
    response = asked(make_services(engine), headers={"x-request-timeout": "0.05"}, stream=stream)
    assert response.status_code == 504
    assert engine.closed.is_set()


@pytest.mark.parametrize("stream", [False, True])
def test_hanging_up_closes_the_engine_request(make_services: MakeServices, stream: bool) -> None:
    """A client that goes away ends the work."""

    async def run() -> None:
        reached = asyncio.Event()

        async def forever() -> None:
            reached.set()
            await asyncio.Event().wait()

        engine = ScriptedEngine([delta("a"), forever])  # type: ignore[list-item]
        client = LeavingClient({"input": "Hi", "stream": stream})
        app = create_app(make_services(engine))
        answering = asyncio.create_task(app(SCOPE | {"path": PATH}, client.receive, client.send))
        await reached.wait()
        client.gone.set()
        await asyncio.wait_for(engine.closed.wait(), 2)
        await asyncio.wait_for(answering, 2)

    asyncio.run(run())


def test_a_key_s_limits_hold(make_services: MakeServices, tmp_path: Path) -> None:
    """A response counts as a request of its key, whose limits are told; asking for it does not."""
    keys = write_keys(tmp_path / "keys.yaml", alice={"requests_per_minute": 2})

    async def run() -> None:
        services = make_services(ScriptedEngine(ANSWER), state=tmp_path, keys_file=str(keys))
        async with running(services) as client:
            client.headers.update(bearer("alice"))
            first = await client.post(PATH, json={"input": "Hi"})
            assert first.headers["x-ratelimit-remaining-requests"] == "1"
            for _ in range(3):
                assert (await client.get(f"{PATH}/{first.json()['id']}")).status_code == 200
            assert (await client.post(f"{PATH}/input_tokens", json={"input": "Hi"})).status_code == 200
            refused = await client.post(PATH, json={"input": "Hi"})
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
            assert int(refused.headers["retry-after"]) > 0
            del client.headers["authorization"]
            assert (await client.post(PATH, json={"input": "Hi"})).status_code == 401

    asyncio.run(run())


def test_input_tokens(make_services: MakeServices, reference: Path) -> None:
    """As many as a response's usage says, tools and instructions among them; nothing is generated."""
    tools = [{"type": "function", "name": "look"}]
    body = {"input": "Hi", "instructions": "Be brief", "tools": tools}
    engine = ScriptedEngine(ANSWER)
    counted = post(make_services(engine), body, path=f"{PATH}/input_tokens").json()
    assert engine.generations == []
    Specification(reference).validate("TokenCountsResource", counted)
    usage = post(make_services(engine), body, path=PATH).json()["usage"]
    assert counted == {"input_tokens": usage["input_tokens"], "object": "response.input_tokens"}
    refused = post(make_services(engine), body | {"model": "gpt-5"}, path=f"{PATH}/input_tokens")
    assert refused.status_code == 404


def test_the_document_has_it(make_services: MakeServices) -> None:
    """Answers, events and examples are as the server's own OpenAPI document says."""
    services = make_services(ScriptedEngine(ANSWER))
    document = call(services, "GET", "/openapi.json").json()

    def validate(name: str, payload: object) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(payload)

    operation = document["paths"][PATH]["post"]
    data = operation["responses"]["200"]["content"]["text/event-stream"]["schema"]["properties"]["data"]
    names = [option["$ref"].rpartition("/")[2] for option in data["contentSchema"]["anyOf"]]
    validate("ResponseObject", asked(services).json())
    for event in typed_events(asked(services, stream=True)):
        matching = {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in names]}
        jsonschema.Draft202012Validator(matching | {"components": document["components"]}).validate(event)
    for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
        validate("ResponsesRequest", example["value"])
        assert post(services, example["value"], path=PATH).status_code == 200


def test_images_beyond_the_limit_are_left_out(make_services: MakeServices, tmp_path: Path) -> None:
    """With the oldest turns, where the conversation may be truncated; what is left out counts for nothing."""
    urls = [data_url(encode(noise(9, 9 + number))) for number in range(6)]
    images = [{"type": "input_image", "image_url": url, "detail": "low"} for url in urls]
    given = [{"role": "user", "content": [image]} for image in images]
    file = write_keys(tmp_path / "k", alice={"images_per_minute": 14})
    services = make_services(ScriptedEngine(ANSWER), keys_file=file)
    headers = bearer("alice")
    assert asked(services, headers, input=given).json()["error"]["code"] == "too_many_images"
    assert asked(services, headers, input=given, truncation="auto").json()["status"] == "completed"
    counted = post(
        services, {"input": given, "truncation": "auto"}, path=f"{PATH}/input_tokens", headers=headers
    )
    assert counted.json()["input_tokens"] > 4 * 300
