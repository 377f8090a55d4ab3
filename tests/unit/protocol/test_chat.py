"""What a request means where it is silent."""

from typing import Any

from phiserve.protocol.chat import ChatCompletionRequest


def parse(**fields: Any) -> ChatCompletionRequest:
    """A request with these fields."""
    return ChatCompletionRequest.model_validate(
        {"model": "m", "messages": [{"role": "user", "content": "Hi"}]} | fields
    )


def test_openai_defaults() -> None:
    """Silence and null mean OpenAI's defaults."""
    silent = parse()
    nulls = parse(
        temperature=None, top_p=None, n=None, stop=None, stream=None, max_tokens=None, logprobs=None
    )
    assert (silent.temperature, silent.top_p, silent.num_choices, silent.stop, silent.output_limit) == (
        1,
        1,
        1,
        (),
        None,
    )
    assert (nulls.num_choices, nulls.stop, nulls.output_limit, nulls.stream) == (1, (), None, None)
    assert parse(stop="x").stop == ("x",)
    assert parse(max_completion_tokens=3).output_limit == 3
    assert parse(temperature=1).temperature == 1.0
