"""What becomes of every field of OpenAI's chat request.

Documents, errors and `GET /v1/compatibility` come from this table.
"""

from typing import Literal, NamedTuple

from pydantic.config import JsonValue

Support = Literal["served", "accepted", "refused"]


class Field(NamedTuple):
    """What becomes of one field.

    `served`: it has its effect. `accepted`: it is allowed, without effect, and why that is right. `refused`:
    400, and why. Clients like to write defaults out: null, and the values of `allowed`, ask for nothing of a
    refused field, and pass.
    """

    support: Support
    note: str
    allowed: tuple[JsonValue, ...] = ()


_TOOLS = "tools are not supported"
_SERVED = Field("served", "")

OPENAI_FIELDS: dict[str, Field] = {
    "messages": Field("served", "all roles; images in user messages; a participant's name has no effect"),
    "model": _SERVED,
    "frequency_penalty": _SERVED,
    "logit_bias": _SERVED,
    "logprobs": _SERVED,
    "max_completion_tokens": _SERVED,
    "max_tokens": _SERVED,
    "n": Field("served", "up to `max_choices`; greedy choices are computed once"),
    "presence_penalty": _SERVED,
    "response_format": Field(
        "served", "text, json_object, json_schema; what would not be enforced of a schema is refused"
    ),
    "seed": Field("served", "repeatable on one engine under the same load"),
    "stop": _SERVED,
    "stream": _SERVED,
    "stream_options": Field("served", "include_usage"),
    "temperature": Field("served", "between 0 and 0.01 the engine takes 0.01; 0 is greedy"),
    "top_logprobs": _SERVED,
    "top_p": _SERVED,
    "metadata": Field("accepted", "nothing is stored here"),
    "parallel_tool_calls": Field("accepted", "tools are refused, so that there is nothing to call"),
    "prompt_cache_key": Field("accepted", "prompts are cached by their content"),
    "safety_identifier": Field("accepted", "users are not told apart"),
    "service_tier": Field("served", "`flex` is batch work: behind all others; of the rest, one tier"),
    "store": Field("accepted", "nothing is stored here"),
    "user": Field("accepted", "users are not told apart"),
    "audio": Field("refused", "audio output is not supported"),
    "function_call": Field("refused", _TOOLS, allowed=("none", "auto")),
    "functions": Field("refused", _TOOLS),
    "modalities": Field("refused", "the model answers in text", allowed=(["text"],)),
    "moderation": Field("refused", "there is no moderation"),
    "prediction": Field("refused", "there are no predicted outputs"),
    "prompt_cache_options": Field("refused", "the prompt cache has no options", allowed=({},)),
    "prompt_cache_retention": Field(
        "refused", "the prompt cache keeps what fits in memory", allowed=("in_memory",)
    ),
    "reasoning_effort": Field(
        "refused", "the model does not reason apart from its answer", allowed=("none",)
    ),
    "tool_choice": Field("refused", _TOOLS, allowed=("none", "auto")),
    "tools": Field("refused", _TOOLS, allowed=([],)),
    "verbosity": Field("refused", "the model has no such control; say it in the prompt", allowed=("medium",)),
    "web_search_options": Field("refused", "nothing is searched"),
}

EXTRA_FIELDS = (
    *("top_k", "min_p", "repetition_penalty", "ignore_eos", "min_tokens"),
    *("stop_token_ids", "structured_outputs", "return_token_ids", "priority"),
)
"""vLLM's extras that are served too."""


def compatibility() -> dict[str, dict[str, dict[str, object]]]:
    """The whole table as plain data, by name. A refused field says which values of it pass all the same."""
    fields = {name: _plain(field) for name, field in sorted(OPENAI_FIELDS.items())}
    return {
        "openai": fields,
        "extra": {name: {"support": "served", "note": "as in vLLM"} for name in EXTRA_FIELDS},
    }


def _plain(field: Field) -> dict[str, object]:
    plain: dict[str, object] = {"support": field.support, "note": field.note}
    return plain | {"allowed": [None, *field.allowed]} if field.support == "refused" else plain
