"""What becomes of every field of OpenAI's chat and completions requests, and of vLLM's own beside them.

Documents, errors and `GET /v1/compatibility` come from these tables.
"""

from collections.abc import Mapping
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


_SERVED = Field("served", "")

OPENAI_FIELDS: dict[str, Field] = {
    "messages": Field(
        "served",
        "all roles; images and PDFs in user messages and results of tools; "
        "a participant's name has no effect",
    ),
    "model": _SERVED,
    "frequency_penalty": _SERVED,
    "logit_bias": _SERVED,
    "logprobs": _SERVED,
    "max_completion_tokens": _SERVED,
    "max_tokens": _SERVED,
    "function_call": Field("served", "as `tool_choice`: none, auto (experimental), a named one"),
    "functions": Field("served", "as `tools`, called one at a time"),
    "n": Field("served", "up to `max_choices`; greedy choices are computed once"),
    "parallel_tool_calls": Field("served", "up to 8 calls in an answer; one where false"),
    "presence_penalty": _SERVED,
    "response_format": Field(
        "served", "text, json_object, json_schema; what would not be enforced of a schema is refused"
    ),
    "seed": Field("served", "repeatable on one engine under the same load"),
    "stop": _SERVED,
    "stream": _SERVED,
    "stream_options": Field("served", "include_usage; vLLM's continuous_usage_stats"),
    "temperature": Field("served", "between 0 and 0.01 the engine takes 0.01; 0 is greedy"),
    "tool_choice": Field(
        "served", "none, required, a named one (called once), allowed_tools; auto is experimental"
    ),
    "tools": Field(
        "served",
        "functions, told in a system turn; calls are held to their schemas; custom tools are refused",
    ),
    "top_logprobs": _SERVED,
    "top_p": _SERVED,
    "metadata": Field("accepted", "chat completions are not stored; responses are"),
    "prompt_cache_key": Field("accepted", "prompts are cached by their content"),
    "reasoning_effort": Field("accepted", "the model does not reason apart from its answer"),
    "safety_identifier": Field("accepted", "users are not told apart"),
    "service_tier": Field("served", "`flex` is batch work: behind all others; of the rest, one tier"),
    "store": Field("accepted", "chat completions are not stored; responses are"),
    "verbosity": Field("accepted", "the model has no such control; say it in the prompt"),
    "user": Field("accepted", "users are not told apart"),
    "audio": Field("refused", "audio output is not supported"),
    "modalities": Field("refused", "the model answers in text", allowed=(["text"],)),
    "moderation": Field("refused", "there is no moderation"),
    "prediction": Field("refused", "there are no predicted outputs"),
    "prompt_cache_options": Field("refused", "the prompt cache has no options", allowed=({},)),
    "prompt_cache_retention": Field(
        "refused", "the prompt cache keeps what fits in memory", allowed=("in_memory",)
    ),
    "web_search_options": Field("refused", "nothing is searched"),
}

_AS_IN_VLLM = Field("served", "as in vLLM")

VLLM_FIELDS: dict[str, Field] = {
    "top_k": _AS_IN_VLLM,
    "min_p": _AS_IN_VLLM,
    "repetition_penalty": _AS_IN_VLLM,
    "ignore_eos": _AS_IN_VLLM,
    "min_tokens": _AS_IN_VLLM,
    "stop_token_ids": _AS_IN_VLLM,
    "allowed_token_ids": Field("served", "as in vLLM, but not beside a form of the answer"),
    "bad_words": Field("served", "as in vLLM, but not beside a form of the answer"),
    "structured_outputs": _AS_IN_VLLM,
    "return_token_ids": _AS_IN_VLLM,
    "priority": Field("served", "above 0 it is batch work, behind all others; nobody comes before 0"),
    "cache_salt": Field("served", "within the owner's own"),
    "add_generation_prompt": Field("served", "false only beside `continue_final_message`, true only without"),
    "add_special_tokens": Field("refused", "the prompt is as the model was trained", (False,)),
    "chat_template": Field("refused", "the prompt is as the model was trained"),
    "chat_template_kwargs": Field("refused", "there is no template", ({},)),
    "continue_final_message": Field(
        "served",
        "the answer goes on with the last message, an assistant's; not beside functions that may be called",
    ),
    "documents": Field("refused", "show them in messages", ([],)),
    "ec_transfer_params": Field("refused", "engines do not hand work to each other", ({},)),
    "echo": Field(
        "served",
        "an answer begins with the text of the last message, where it is an assistant's; not beside "
        "log-probabilities or functions that may be called",
    ),
    "include_reasoning": Field("refused", "the model does not reason apart from its answer", (True, False)),
    "include_stop_str_in_output": Field("refused", "an answer ends before its stop string", (False,)),
    "kv_transfer_params": Field("refused", "engines do not hand work to each other", ({},)),
    "length_penalty": Field("refused", "it belongs to beam search", (1,)),
    "logprob_token_ids": Field("refused", "log-probabilities are of the likeliest tokens", ([],)),
    "media_io_kwargs": Field("refused", "the settings say how images are read", ({},)),
    "mm_payload": Field("refused", "prompts are not handed out", ("tensors",)),
    "mm_processor_kwargs": Field("refused", "`detail` says how closely to look at an image", ({},)),
    "prompt_logprobs": Field("refused", "log-probabilities are of answers alone"),
    "repetition_detection": Field("refused", "an answer ends at its limit"),
    "request_id": Field("refused", "send it in the header x-request-id"),
    "return_mm_kwargs": Field("refused", "prompts are not handed out", (False,)),
    "return_prompt_text": Field("refused", "`return_token_ids` gives the prompt's ids", (False,)),
    "return_token_offsets": Field("refused", "prompts are not handed out", (False,)),
    "return_tokens_as_token_ids": Field("refused", "`return_token_ids` gives the ids", (False,)),
    "routed_experts_prompt_start": Field("refused", "the model has no experts", (0,)),
    "session_id": Field("refused", "prompts are cached by their content"),
    "skip_special_tokens": Field("refused", "answers hold no control tokens", (True,)),
    "spaces_between_special_tokens": Field("refused", "answers hold no control tokens", (True,)),
    "stream_interval": Field("refused", "every step of the engine is a chunk", (1,)),
    "thinking_token_budget": Field("refused", "the model does not reason apart from its answer"),
    "truncate_prompt_tokens": Field("refused", "prompts are answered whole or not at all"),
    "truncation_side": Field("refused", "prompts are answered whole or not at all"),
    "use_beam_search": Field("refused", "answers are sampled", (False,)),
    "vllm_xargs": Field("refused", "the engine has no such extensions", ({},)),
    "watermarking": Field("refused", "answers bear no watermark", (False,)),
}
"""Every field of vLLM's chat request that OpenAI's has not."""

_OPENAI_AS_IN_CHAT = (
    *("frequency_penalty", "logit_bias", "model", "n", "presence_penalty", "seed", "stop", "stream"),
    *("stream_options", "temperature", "top_p", "user"),
)
_VLLM_AS_IN_CHAT = (
    *("top_k", "min_p", "repetition_penalty", "ignore_eos", "min_tokens", "stop_token_ids"),
    *("allowed_token_ids", "bad_words", "structured_outputs", "return_token_ids", "priority", "cache_salt"),
    *("ec_transfer_params", "include_stop_str_in_output", "kv_transfer_params", "length_penalty"),
    *("logprob_token_ids", "mm_payload", "prompt_logprobs", "repetition_detection", "request_id"),
    *("return_mm_kwargs", "return_token_offsets", "return_tokens_as_token_ids", "session_id"),
    *("routed_experts_prompt_start", "skip_special_tokens", "spaces_between_special_tokens"),
    *("stream_interval", "thinking_token_budget", "truncate_prompt_tokens", "truncation_side"),
    *("use_beam_search", "vllm_xargs", "watermarking"),
)

COMPLETIONS_FIELDS: dict[str, Field] = {
    "prompt": Field("served", "a text, token ids, or a list of either"),
    "best_of": Field("served", "as many as `n`: all choices are returned, the best is not looked for"),
    "echo": Field("served", "the prompt's text before the answer's; not beside `logprobs`"),
    "logprobs": Field("served", "up to 5 tokens at each position, of the answer alone"),
    "max_tokens": Field("served", "16 where it is left out"),
    **{name: OPENAI_FIELDS[name] for name in _OPENAI_AS_IN_CHAT},
    "suffix": Field("refused", "the model was not trained to fill gaps", ("",)),
    "add_special_tokens": Field("served", "false leaves out the `<s>` before a text"),
    "response_format": OPENAI_FIELDS["response_format"],
    "prompt_embeds": Field("refused", "a prompt is text or token ids"),
    **{name: VLLM_FIELDS[name] for name in _VLLM_AS_IN_CHAT},
}
"""Every field of OpenAI's request for completions, then those that vLLM's has beside them."""


STREAM_OPTIONS_FIELDS: dict[str, Field] = {
    "include_obfuscation": Field("refused", "nothing is obfuscated", (False,)),
}
"""What is refused of `stream_options`."""

STRUCTURED_OUTPUTS_FIELDS: dict[str, Field] = {
    "disable_additional_properties": Field("refused", "a schema says it by `additionalProperties`", (False,)),
    "structural_tag": Field("refused", "`tools` and `response_format` hold an answer to its form"),
    "whitespace_pattern": Field("refused", "JSON is written without white space"),
}
"""The same of vLLM's `structured_outputs`."""

FUNCTION_FIELDS: dict[str, Field] = {
    "defer_loading": Field("refused", "there is no search for tools: each is told at once", (False,)),
}
"""The same of a function that is described as a tool."""

RESPONSES_FUNCTION_FIELDS: dict[str, Field] = FUNCTION_FIELDS | {
    "allowed_callers": Field(
        "refused",
        "functions are called directly, not by programs",
        (["direct"], ["direct", "programmatic"], ["programmatic", "direct"]),
    ),
    "async": Field("refused", "a call's output is the client's to send", (False,)),
}
"""The same of one in a Responses request."""


CALL_FIELDS: dict[str, Field] = {
    "async": Field("refused", "an output follows its call", (False,)),
    "caller": Field("refused", "functions are called directly, not by programs", ({"type": "direct"},)),
    "namespace": Field("refused", "functions are told apart by their names alone"),
}
"""The same of a call and its output in Responses."""


def compatibility() -> dict[str, dict[str, dict[str, object]]]:
    """The tables of chat and of completions as plain data, by name."""
    return {
        "openai": plain_table(dict(sorted(OPENAI_FIELDS.items()))),
        "extra": plain_table(VLLM_FIELDS),
        "completions": plain_table(COMPLETIONS_FIELDS),
    }


def plain_table(fields: Mapping[str, Field]) -> dict[str, dict[str, object]]:
    """Fields as plain data, by name. A refused field says which values of it pass all the same."""
    return {name: _plain(field) for name, field in fields.items()}


def _plain(field: Field) -> dict[str, object]:
    plain: dict[str, object] = {"support": field.support, "note": field.note}
    return plain | {"allowed": [None, *field.allowed]} if field.support == "refused" else plain
