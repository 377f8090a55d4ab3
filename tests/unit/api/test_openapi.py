"""The OpenAPI document."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import jsonschema
import pytest

from phiserve.api.services import Services
from phiserve.protocol.chat import ChatCompletionRequest
from scripted import ScriptedEngine
from wire import ANSWER, call, events, post

MakeServices = Callable[..., Services]
CHAT = "/v1/chat/completions"


@pytest.fixture
def document(make_services: MakeServices) -> dict[str, Any]:
    """As a client gets it."""
    described: dict[str, Any] = call(make_services(ScriptedEngine()), "GET", "/openapi.json").json()
    return described


def validate(document: dict[str, Any], name: str, instance: Any) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(instance)


def test_every_operation_documents_its_answers(document: dict[str, Any]) -> None:
    """Nothing of FastAPI's own 422; every error is the envelope."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert "422" not in operation["responses"], path
            for status, response in operation["responses"].items():
                if status != "200":
                    assert response["content"]["application/json"]["schema"] == {
                        "$ref": "#/components/schemas/ErrorResponse"
                    }
    jsonschema.Draft202012Validator.check_schema(document["components"]["schemas"]["ChatCompletionRequest"])
    assert set(document["paths"][CHAT]["post"]["responses"]) == {
        "200",
        "400",
        "404",
        "413",
        "415",
        "429",
        "500",
        "503",
        "504",
    }


def references(part: Any) -> set[str]:
    """All that a part of the document refers to."""
    if isinstance(part, list):
        return set().union(*map(references, part))
    if not isinstance(part, dict):
        return set()
    found = set().union(*map(references, part.values()))
    return found | {part["$ref"]} if isinstance(part.get("$ref"), str) else found


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """To a schema of the document's own."""
    names = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) - names == set()


def test_answers_are_as_documented(make_services: MakeServices, document: dict[str, Any]) -> None:
    """A completion, its chunks, the models, an error: none lacks what the document promises."""
    services = make_services(ScriptedEngine(ANSWER))
    validate(document, "ChatCompletion", post(services).json())
    *chunks, _ = events(post(services, stream=True))
    for chunk in chunks:
        validate(document, "ChatCompletionChunk", chunk)
    validate(document, "Tokenized", post(services, path="/tokenize").json())
    validate(document, "ModelList", call(services, "GET", "/v1/models").json())
    validate(document, "ErrorResponse", call(services, "GET", "/v1/models/x").json())
    with pytest.raises(jsonschema.ValidationError):
        validate(document, "ChatCompletion", post(services).json() | {"object": "chat"})


def test_examples_are_served(make_services: MakeServices, document: dict[str, Any]) -> None:
    """What /docs offers to try out validates against the document and is answered, the image too."""
    examples = document["paths"][CHAT]["post"]["requestBody"]["content"]["application/json"]["examples"]
    services = make_services(ScriptedEngine(ANSWER))
    for example in examples.values():
        validate(document, "ChatCompletionRequest", example["value"])
        assert post(services, example["value"]).status_code == 200
    assert "image_url" in str(examples["image"])


def test_the_request_is_documented_as_it_is_taken(document: dict[str, Any]) -> None:
    """All fields, the one model that is served, and the forms that `stop` may have."""
    schema = document["components"]["schemas"]["ChatCompletionRequest"]
    assert set(schema["properties"]) == set(ChatCompletionRequest.model_fields)
    for body in ({}, {"model": None}, {"stop": None}, {"stop": "a"}, {"stop": ["a", "b"]}):
        validate(
            document,
            "ChatCompletionRequest",
            {"model": "m", "messages": [{"role": "user", "content": "Hi"}]} | body,
        )
    for wrong in ({"stop": list("abcde")}, {"stop": [""]}, {"model": "x"}, {"best_of": 2}):
        with pytest.raises(jsonschema.ValidationError):
            validate(
                document,
                "ChatCompletionRequest",
                {"model": "m", "messages": [{"role": "user", "content": "Hi"}]} | wrong,
            )


def test_forms_are_documented_as_they_are_sent(document: dict[str, Any]) -> None:
    """A file, and the parts of what is an object elsewhere as fields of their own."""
    content = document["paths"]["/v1/files"]["post"]["requestBody"]["content"]
    schema = content["multipart/form-data"]["schema"]
    assert {*schema["properties"]} == {
        "file",
        "purpose",
        *map("expires_after[{}]".format, ("anchor", "seconds")),
    }
    assert schema["required"] == ["file", "purpose"]
    assert schema["properties"]["expires_after[seconds]"]["minimum"] == 3600
    judge = jsonschema.Draft202012Validator({**schema, "components": document["components"]})
    for beside, is_right in (
        ({}, True),
        ({"expires_after[anchor]": "created_at", "expires_after[seconds]": 3600}, True),
        ({"expires_after[anchor]": "created_at"}, False),
        ({"expires_after[seconds]": 3600}, False),
        ({"colour": "red"}, False),
    ):
        assert judge.is_valid({"file": "x", "purpose": "vision", **beside}) == is_right
    for name, is_right in (("Städte “1”.png", True), ("a\0b", False), ("a\x7f", False), ("", False)):
        new = {"filename": name, "purpose": "vision", "bytes": 1, "mime_type": "image/png"}
        with nullcontext() if is_right else pytest.raises(jsonschema.ValidationError):
            validate(document, "NewUpload", new)
    part = document["paths"]["/v1/uploads/{upload_id}/parts"]["post"]["requestBody"]["content"]
    assert {*part["multipart/form-data"]["schema"]["properties"]} == {"data"}


def test_the_key_is_documented_where_one_is_needed(make_services: MakeServices) -> None:
    """On every route but those a load balancer asks."""
    services = make_services(ScriptedEngine(), api_key="secret")
    described = call(services, "GET", "/openapi.json", headers={"Authorization": "Bearer secret"}).json()
    guarded = {
        path
        for path, operations in described["paths"].items()
        for op in operations.values()
        if "security" in op
    }
    assert set(described["paths"]) - guarded == {"/health", "/ready", "/version"}
    assert all("401" in op["responses"] for path in guarded for op in described["paths"][path].values())
