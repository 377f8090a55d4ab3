"""Requests to try out, for the OpenAPI document: bodies without their model, by the request's name."""

from typing import Any

_DOT = "data:image/gif;base64,R0lGODlhAQABAIAAAP8AAAAAACwAAAAAAQABAAACAkQBADs="
"""A red image of one pixel, short enough to be read in a document."""

_CHAT: dict[str, dict[str, Any]] = {
    "image": {
        "max_tokens": 50,
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": _DOT, "detail": "low"}},
                    {"type": "text", "text": "What colour is it?"},
                ],
            }
        ],
    },
    "text": {"max_tokens": 50, "messages": [{"role": "user", "content": "Hello!"}]},
    "streamed": {
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "Hello!"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    },
}
_RESPONSES: dict[str, dict[str, Any]] = {
    "image": {
        "max_output_tokens": 50,
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_image", "image_url": _DOT, "detail": "low"},
                    {"type": "input_text", "text": "What colour is it?"},
                ],
            }
        ],
    },
    "text": {"max_output_tokens": 50, "input": "Hello!"},
    "streamed": {"max_output_tokens": 50, "input": "Hello!", "stream": True},
}

_COMPLETIONS: dict[str, dict[str, Any]] = {
    "text": {"max_tokens": 20, "prompt": "Once upon a time"},
    "several": {"max_tokens": 20, "prompt": ["One, two,", "Red, green,"], "logprobs": 2},
    "streamed": {"max_tokens": 20, "prompt": "Once upon a time", "stream": True},
}

EXAMPLES = {
    "ChatCompletionRequest": _CHAT,
    "CompletionRequest": _COMPLETIONS,
    "ResponsesRequest": _RESPONSES,
}
