"""What becomes of every field of OpenAI's Responses request."""

from phiserve.protocol.compatibility import Field

_SERVED = Field("served", "")

RESPONSES_FIELDS: dict[str, Field] = {
    "background": Field("served", "needs `store`"),
    "conversation": Field("served", "an id, or an object with one; not together with `previous_response_id`"),
    "include": Field("served", "`message.output_text.logprobs`; there is nothing that the others would add"),
    "input": Field(
        "served",
        "a string, or messages with text and images (`input_image` by `image_url`), calls and their outputs, "
        "`item_reference`s to what is stored",
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
        "served", "`auto` leaves out the oldest messages, never instructions and the last one"
    ),
    "max_tool_calls": Field("accepted", "it limits tools that a server runs"),
    "metadata": Field("accepted", "repeated in the response"),
    "prompt_cache_key": Field("accepted", "prompts are cached by their content"),
    "reasoning": Field("accepted", "the model does not reason apart from its answer"),
    "safety_identifier": Field("accepted", "users are not told apart"),
    "user": Field("accepted", "users are not told apart"),
    "context_management": Field("refused", "nothing is left out of a prompt here", allowed=([],)),
    "moderation": Field("refused", "there is no moderation"),
    "prompt": Field("refused", "there are no prompt templates"),
    "prompt_cache_options": Field("refused", "the prompt cache has no options", allowed=({},)),
    "prompt_cache_retention": Field(
        "refused", "the prompt cache keeps what fits in memory", allowed=("in_memory",)
    ),
}
