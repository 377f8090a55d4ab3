"""Parts of a response object."""

from phiserve.core import TokenCounts
from phiserve.protocol.events import encode_json
from phiserve.protocol.responses.response import OutputText, ResponseUsage


def test_usage_has_openai_s_keys() -> None:
    """Exact counts; image tokens are input tokens."""
    assert encode_json(ResponseUsage.of(TokenCounts(prompt=10, completion=3, cached=4, image=2))) == (
        b'{"input_tokens":10,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":0},'
        b'"output_tokens":3,"total_tokens":13,"output_tokens_details":{"reasoning_tokens":0}}'
    )


def test_a_text_always_has_its_lists() -> None:
    """OpenAI's specification requires both."""
    assert encode_json(OutputText("a", [])) == (
        b'{"text":"a","logprobs":[],"type":"output_text","annotations":[]}'
    )
