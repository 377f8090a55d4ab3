"""What goes over the wire: OpenAI's published schemas, strictly, and every failure in the envelope."""

import json
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from e2e.conftest import MODEL
from images import image_part, photo, text_part

BODY: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
IMAGE = [{"role": "user", "content": [image_part(photo("coffee"), "low"), text_part("What is it?")]}]
VARIANTS: list[dict[str, Any]] = [
    {},
    {"messages": IMAGE},
    {"n": 2},
    {"logprobs": True, "top_logprobs": 2},
    {"stop": "a", "seed": 1},
]


@pytest.fixture(scope="session")
def openapi(reference: Path) -> dict[str, Any]:
    """OpenAI's specification, with OpenAPI 3.0's `nullable` (which it still uses) said as JSON Schema
    does.
    """

    def modern(node: Any) -> Any:
        if isinstance(node, list):
            return [modern(item) for item in node]
        if not isinstance(node, dict):
            return node
        rest = {key: modern(value) for key, value in node.items() if key != "nullable"}
        return {"anyOf": [rest, {"type": "null"}]} if node.get("nullable") is True else rest

    document: dict[str, Any] = modern(json.loads((reference / "openai" / "openapi.json").read_text()))
    return document


def validate(openapi: dict[str, Any], name: str, instance: Any) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": openapi["components"]}
    jsonschema.Draft202012Validator(schema).validate(instance)


def post(url: str, **fields: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/chat/completions", json=BODY | fields, timeout=120)


def events(text: str) -> list[str]:
    return [frame.removeprefix("data: ") for frame in text.split("\n\n") if frame]


def no_unknown_keys(model: Any) -> None:
    """Fails if any part of a parsed answer has a key that the openai package does not know."""
    assert (model.model_extra or {}) == {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        for item in value if isinstance(value, list) else [value]:
            if hasattr(item, "model_extra"):
                no_unknown_keys(item)


@pytest.mark.parametrize("fields", VARIANTS)
def test_completion_validates(url: str, openapi: dict[str, Any], fields: dict[str, Any]) -> None:
    """Against OpenAI's schema, and strictly against the openai package's types: no key more, none missing."""
    body = post(url, **fields).json()
    validate(openapi, "CreateChatCompletionResponse", body)
    no_unknown_keys(ChatCompletion.model_validate(body, strict=True))


@pytest.mark.parametrize("fields", VARIANTS)
def test_chunks_validate(url: str, openapi: dict[str, Any], fields: dict[str, Any]) -> None:
    """Every chunk of a stream, the usage chunk included."""
    *chunks, end = events(post(url, stream=True, stream_options={"include_usage": True}, **fields).text)
    assert end == "[DONE]"
    for chunk in chunks:
        validate(openapi, "CreateChatCompletionStreamResponse", json.loads(chunk))
        no_unknown_keys(ChatCompletionChunk.model_validate_json(chunk))
    assert json.loads(chunks[-1])["usage"]["completion_tokens"] > 0


def test_models_validate(url: str, openapi: dict[str, Any]) -> None:
    """The list and the single model."""
    validate(openapi, "ListModelsResponse", httpx.get(f"{url}/v1/models").json())
    validate(openapi, "Model", httpx.get(f"{url}/v1/models/{MODEL}").json())


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/v1/chat/completions", b"{", 400),
        ("POST", "/v1/chat/completions", b"", 400),
        ("POST", "/v1/chat/completions", json.dumps(BODY | {"min_tokens": 10**6}).encode(), 400),
        ("POST", "/v1/chat/completions", json.dumps(BODY | {"model": "x"}).encode(), 404),
        ("GET", "/v1/chat/completions", b"", 405),
        ("GET", "/nothing", b"", 404),
        ("GET", "/v1/models/x", b"", 404),
        ("POST", "/tokenize", b"[]", 400),
    ],
)
def test_errors_validate(
    url: str, openapi: dict[str, Any], method: str, path: str, content: bytes, status: int
) -> None:
    """Every failure is OpenAI's error object, with a request id."""
    response = httpx.request(method, f"{url}{path}", content=content)
    assert response.status_code == status
    validate(openapi, "ErrorResponse", response.json())
    assert response.headers["x-request-id"]


def test_tokenize_is_what_is_generated_from(url: str) -> None:
    """The ids that /tokenize shows are the prompt's; each image is where and as large as it says."""
    shown = httpx.post(f"{url}/tokenize", json=BODY | {"messages": IMAGE}).json()
    generated = post(url, messages=IMAGE, return_token_ids=True).json()
    assert shown["tokens"] == generated["prompt_token_ids"]
    assert shown["count"] == generated["usage"]["prompt_tokens"] == len(shown["tokens"])
    assert shown["max_model_len"] == 4096
    (image,) = shown["images"]
    assert set(shown["tokens"][image["offset"] : image["offset"] + image["tokens"]]) == {32044}
    assert (image["crops"], image["tokens"], image["size"]) == (1, 313, list(photo("coffee").size))


def test_status_routes(url: str) -> None:
    """Health, readiness, versions, and metrics of both vLLM's and our own."""
    assert httpx.get(f"{url}/health").status_code == 200
    assert httpx.get(f"{url}/ready").json() == {"status": "ready"}
    assert set(httpx.get(f"{url}/version").json()) == {"phiserve", "python", "vllm", "torch", "transformers"}
    metrics = httpx.get(f"{url}/metrics").text
    assert f'vllm:num_requests_running{{engine="0",model_name="{MODEL}"}}' in metrics
    assert "phiserve_images_read_total" in metrics
