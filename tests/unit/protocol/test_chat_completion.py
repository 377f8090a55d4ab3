"""Structs are encoded with exactly the keys they should have."""

import json

from phiserve.core import TokenCounts
from phiserve.protocol.chat_completion import ChunkChoice, ChunkDelta, ResponseMessage, Usage
from phiserve.protocol.events import ErrorBody, ErrorResponse, encode_json


def test_absent_keys_are_left_out_and_null_ones_are_not() -> None:
    """Unset keys do not appear; keys that OpenAI requires appear as null."""
    assert json.loads(encode_json(ChunkChoice(0, ChunkDelta()))) == {
        "index": 0,
        "delta": {},
        "finish_reason": None,
    }
    assert json.loads(encode_json(ResponseMessage("x"))) == {
        "content": "x",
        "role": "assistant",
        "refusal": None,
    }
    error = ErrorResponse(ErrorBody("m", "t", None, None))
    assert json.loads(encode_json(error)) == {
        "error": {"message": "m", "type": "t", "param": None, "code": None}
    }


def test_usage_tells_text_images_and_cached_tokens_apart() -> None:
    """Text and image tokens make up the prompt, prompt and completion the total."""
    usage = Usage.of(TokenCounts(prompt=330, completion=5, cached=128, image=313))
    assert json.loads(encode_json(usage)) == {
        "prompt_tokens": 330,
        "completion_tokens": 5,
        "total_tokens": 335,
        "prompt_tokens_details": {"cached_tokens": 128, "text_tokens": 17, "image_tokens": 313},
    }
