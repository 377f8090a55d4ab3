"""Structs are encoded with exactly the keys they should have."""

import json

from phiserve.protocol.responses import (
    ChunkChoice,
    ChunkDelta,
    ErrorBody,
    ErrorResponse,
    ResponseMessage,
    encode_json,
)


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
