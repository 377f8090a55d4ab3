"""What becomes of every field of OpenAI's Responses request, and of vLLM's own beside them."""

from phiserve.protocol.compatibility import OPENAI_FIELDS, VLLM_FIELDS, Field

_SERVED = Field("served", "")

RESPONSES_FIELDS: dict[str, Field] = {
    "background": Field("served", "needs `store`"),
    "conversation": Field("served", "an id, or an object with one; not together with `previous_response_id`"),
    "include": Field("served", "`message.output_text.logprobs`; there is nothing that the others would add"),
    "input": Field(
        "served",
        "a string, or messages with text, images (`input_image`) and PDFs (`input_file`), "
        "calls and their outputs, `item_reference`s to what is stored",
    ),
    "instructions": Field("served", "a system message before the input"),
    "max_output_tokens": _SERVED,
    "model": _SERVED,
    "parallel_tool_calls": _SERVED,
    "previous_response_id": Field(
        "served", "a response that has ended; its `instructions` are not carried over"
    ),
    "service_tier": Field("served", "`flex` is batch work: behind all others; of the rest, one tier"),
    "store": Field("served", "true where it is left out"),
    "stream": _SERVED,
    "stream_options": Field("served", "nothing is obfuscated"),
    "temperature": Field("served", "between 0 and 0.01 the engine takes 0.01; 0 is greedy"),
    "text": Field("served", "`format` as chat's `response_format`; `verbosity` has no effect"),
    "top_logprobs": Field("served", "above 0 it asks for log-probabilities by itself"),
    "top_p": _SERVED,
    "tool_choice": Field("served", "all forms that name functions"),
    "tools": Field("served", "functions; what a server would have to run (web search and so on) is refused"),
    "truncation": Field(
        "served",
        "`auto` leaves out the oldest messages until tokens and images fit; never instructions and the last",
    ),
    "max_tool_calls": Field("accepted", "it limits tools that a server runs"),
    "metadata": Field("accepted", "repeated in the response"),
    "prompt_cache_key": Field("accepted", "prompts are cached by their content"),
    "reasoning": Field("accepted", "the model does not reason apart from its answer"),
    "safety_identifier": Field("accepted", "users are not told apart"),
    "user": Field("accepted", "users are not told apart"),
    "context_management": Field(
        "refused",
        "prompts are not compacted; `truncation: auto` leaves out the oldest messages",
        allowed=([],),
    ),
    "moderation": Field("refused", "there is no moderation"),
    "prompt": Field("refused", "there are no prompt templates"),
    "prompt_cache_options": Field("refused", "the prompt cache has no options", allowed=({},)),
    "prompt_cache_retention": Field(
        "refused", "the prompt cache keeps what fits in memory", allowed=("in_memory",)
    ),
}

_OPENAI_AS_IN_CHAT = ("frequency_penalty", "logit_bias", "presence_penalty", "seed", "stop")
_VLLM_AS_IN_CHAT = (
    *("top_k", "min_p", "repetition_penalty", "ignore_eos", "min_tokens", "stop_token_ids"),
    *("allowed_token_ids", "bad_words", "priority", "cache_salt", "chat_template_kwargs"),
    *("ec_transfer_params", "include_reasoning", "include_stop_str_in_output", "kv_transfer_params"),
    *("media_io_kwargs", "mm_payload", "mm_processor_kwargs", "request_id", "return_mm_kwargs"),
    *("session_id", "skip_special_tokens", "vllm_xargs", "watermarking"),
)

RESPONSES_VLLM_FIELDS: dict[str, Field] = {
    **{name: OPENAI_FIELDS[name] for name in _OPENAI_AS_IN_CHAT},
    **{name: VLLM_FIELDS[name] for name in _VLLM_AS_IN_CHAT},
    "structured_outputs": Field(
        "served", "as in vLLM; not beside `text.format` or functions that may be called"
    ),
    "enable_response_messages": Field("refused", "prompts are not handed out", (False,)),
    "previous_input_messages": Field("refused", "send earlier messages in `input`"),
}
"""Every field of vLLM's Responses request that OpenAI's has not, and more of its chat request's."""

ALL_RESPONSES_FIELDS = RESPONSES_FIELDS | RESPONSES_VLLM_FIELDS
"""Both."""
