"""Hooks of schemathesis: OpenAI's document cannot know what is served here, so generated requests ask for
that.

Of a request's fields, those that the tables of its route say are refused are taken out.
"""

import os
from typing import Any

import schemathesis

import conformance.plugins.schemathesis_short  # noqa: F401 - its hook is wanted too
from phiserve.protocol.compatibility import COMPLETIONS_FIELDS, OPENAI_FIELDS
from phiserve.protocol.responses.compatibility import RESPONSES_FIELDS

_FIELDS = {
    "/chat/completions": OPENAI_FIELDS,
    "/completions": COMPLETIONS_FIELDS,
    "/responses": RESPONSES_FIELDS,
    "/responses/input_tokens": RESPONSES_FIELDS,
}


@schemathesis.hook  # type: ignore[untyped-decorator]
def map_body(context: schemathesis.HookContext, body: Any) -> Any:
    """Ask for the served model, without refused fields."""
    if not isinstance(body, dict) or context.operation is None:
        return body
    fields = _FIELDS.get(context.operation.path, {})
    refused = {name for name, field in fields.items() if field.support == "refused"}
    model = {"model": os.environ["CONFORMANCE_MODEL"]} if "model" in body else {}
    return {name: value for name, value in body.items() if name not in refused} | model


@schemathesis.hook  # type: ignore[untyped-decorator]
def map_path_parameters(
    context: schemathesis.HookContext, parameters: dict[str, Any] | None
) -> dict[str, Any] | None:
    """The same for the model in a path."""
    if parameters and "model" in parameters:
        return parameters | {"model": os.environ["CONFORMANCE_MODEL"]}
    return parameters
