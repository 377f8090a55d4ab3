"""Axes grow from step to step, within the context that all servers have."""

import json

import pytest

from benchmarks.growth import Axis, axes
from benchmarks.settings import EngineSettings
from phiserve.chat.encoder import PromptEncoder
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.parsing import parse_request
from phiserve.protocol.translation import build_conversation

PHOTO_TOKENS = 1921


@pytest.mark.parametrize("axis", axes(short=False), ids=lambda axis: axis.name)
def test_steps(axis: Axis, encoder: PromptEncoder) -> None:
    """The largest request fits, and sizes grow."""
    sizes = [size for size, _, _ in axis.steps]
    assert sizes == sorted(set(sizes))
    assert len(axis.clients) in (0, len(axis.steps))
    if axis.unit == "megapixels":
        return  # one image, whose tokens do not grow
    body = axis.steps[-1][1].body(0)
    request = parse_request(body, ChatCompletionRequest)
    conversation = build_conversation(request.messages)
    tokens = encoder.encode(conversation).num_text_tokens + PHOTO_TOKENS * len(conversation.images)
    assert tokens + (request.output_limit or 0) < EngineSettings().max_model_len
    assert json.loads(body)["stream"]
