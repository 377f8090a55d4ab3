"""What becomes of every field of OpenAI's chat request. Documents, errors and `GET /v1/compatibility` come from this table."""

from typing import Literal, NamedTuple

Support = Literal["served", "accepted", "refused"]


class Field(NamedTuple):
    """`served`: has its effect. `accepted`: allowed, without effect, and why that is right. `refused`: 400, and why."""

    support: Support
    note: str


_TOOLS = "tools are not supported"
_SERVED = Field("served", "")

OPENAI_FIELDS: dict[str, Field] = {
    "messages": Field("served", "all roles; pictures in user messages, as data URLs; a participant's name has no effect"),
    "model": _SERVED,
    "frequency_penalty": _SERVED,
    "logit_bias": _SERVED,
    "logprobs": _SERVED,
    "max_completion_tokens": _SERVED,
    "max_tokens": _SERVED,
    "n": Field("served", "greedy choices are computed once"),
    "presence_penalty": _SERVED,
    "response_format": Field("served", "text, json_object, json_schema; a schema is always enforced"),
    "seed": Field("served", "repeatable on one engine under the same load"),
    "stop": _SERVED,
    "stream": _SERVED,
    "stream_options": Field("served", "include_usage"),
    "temperature": _SERVED,
    "top_logprobs": _SERVED,
    "top_p": _SERVED,
    "metadata": Field("accepted", "nothing is stored here"),
    "prompt_cache_key": Field("accepted", "prompts are cached by their content"),
    "safety_identifier": Field("accepted", "users are not told apart"),
    "service_tier": Field("accepted", "there is one tier"),
    "store": Field("accepted", "nothing is stored here"),
    "user": Field("accepted", "users are not told apart"),
    "audio": Field("refused", "the model has no voice"),
    "function_call": Field("refused", _TOOLS),
    "functions": Field("refused", _TOOLS),
    "modalities": Field("refused", "the model answers in text"),
    "moderation": Field("refused", "there is no moderation"),
    "parallel_tool_calls": Field("refused", _TOOLS),
    "prediction": Field("refused", "there are no predicted outputs"),
    "prompt_cache_options": Field("refused", "the prompt cache has no options"),
    "prompt_cache_retention": Field("refused", "the prompt cache keeps what fits"),
    "reasoning_effort": Field("refused", "the model does not reason apart from its answer"),
    "tool_choice": Field("refused", _TOOLS),
    "tools": Field("refused", _TOOLS),
    "verbosity": Field("refused", "the model has no such control; say it in the prompt"),
    "web_search_options": Field("refused", "nothing is searched"),
}

EXTRA_FIELDS = (
    *("top_k", "min_p", "repetition_penalty", "ignore_eos", "min_tokens"),
    *("stop_token_ids", "structured_outputs", "return_token_ids"),
)
"""vLLM's extras that are served too."""


def compatibility() -> dict[str, dict[str, dict[str, str]]]:
    """The whole table as plain data, by name."""
    fields = {name: {"support": field.support, "note": field.note} for name, field in sorted(OPENAI_FIELDS.items())}
    return {"openai": fields, "extra": {name: {"support": "served", "note": "as in vLLM"} for name in EXTRA_FIELDS}}
