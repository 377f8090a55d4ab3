"""Hooks of schemathesis: OpenAI's document cannot know what is served here, so generated requests ask for
that.

Of a request's fields, those that `protocol.compatibility` says are refused are taken out.
"""

import os
from typing import Any

import schemathesis

import conformance.plugins.schemathesis_short  # noqa: F401 - its hook is wanted too
from phiserve.protocol.compatibility import OPENAI_FIELDS

_REFUSED = frozenset(name for name, field in OPENAI_FIELDS.items() if field.support == "refused")


@schemathesis.hook  # type: ignore[untyped-decorator]
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Ask for the served model, without refused fields."""
    if not isinstance(body, dict) or "model" not in body:
        return body
    return {name: value for name, value in body.items() if name not in _REFUSED} | {
        "model": os.environ["CONFORMANCE_MODEL"]
    }


@schemathesis.hook  # type: ignore[untyped-decorator]
def map_path_parameters(
    context: schemathesis.HookContext, parameters: dict[str, Any] | None
) -> dict[str, Any] | None:
    """The same for the model in a path."""
    if parameters and "model" in parameters:
        return parameters | {"model": os.environ["CONFORMANCE_MODEL"]}
    return parameters
