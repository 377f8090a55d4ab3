"""Hooks of schemathesis: OpenAI's document cannot know what is served here, so generated requests ask for that.

Of a request's fields, those that `GET /v1/compatibility` says are refused are taken out.
"""

import json
import os
import urllib.request
from functools import cache
from typing import Any

import schemathesis


@schemathesis.hook  # type: ignore[untyped-decorator]
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Ask for the served model, without refused fields."""
    if not isinstance(body, dict) or "model" not in body:
        return body
    return {name: value for name, value in body.items() if name not in _refused()} | {"model": os.environ["CONFORMANCE_MODEL"]}


@schemathesis.hook  # type: ignore[untyped-decorator]
def map_path_parameters(context: schemathesis.HookContext, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """The same for the model in a path."""
    if parameters and "model" in parameters:
        return parameters | {"model": os.environ["CONFORMANCE_MODEL"]}
    return parameters


@cache
def _refused() -> frozenset[str]:
    with urllib.request.urlopen(f"{os.environ['CONFORMANCE_URL']}/v1/compatibility") as answer:  # noqa: S310 - our own server
        fields = json.load(answer)["openai"]
    return frozenset(name for name, field in fields.items() if field["support"] == "refused")
