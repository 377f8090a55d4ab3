"""Requests are what phiserve's own parser takes, and no two are alike."""

import json
from typing import Any

import pytest

from benchmarks.workloads import CONVERSATIONS, MODEL, Workload, images, mixed, repeated, text, texts
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.parsing import parse_request

ALL = (
    texts(),
    images("640x480"),
    images("small PNG", count=2),
    images("small PNG", detail="low"),
    repeated(),
    mixed(),
)


def urls(body: bytes) -> list[str]:
    """Images of a request."""
    contents = [message["content"] for message in json.loads(body)["messages"]]
    parts: list[Any] = [part for content in contents if isinstance(content, list) for part in content]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


@pytest.mark.parametrize("workload", ALL, ids=lambda workload: workload.name)
def test_requests_are_valid_and_unique(workload: Workload) -> None:
    """Streamed, greedy, of a fixed length."""
    bodies = workload.bodies(6)
    assert len(set(bodies)) == 6
    assert bodies == workload.bodies(6)
    for body in bodies:
        request = parse_request(body, ChatCompletionRequest)
        assert (request.model, request.stream, request.temperature, request.ignore_eos) == (
            MODEL,
            True,
            0,
            True,
        )
        assert request.output_limit


def test_images_are_unique_across_requests() -> None:
    """Within a request too."""
    shown = [url for body in images("small PNG", count=3).bodies(4) for url in urls(body)]
    assert len(set(shown)) == 12


def test_low_detail_is_asked_for() -> None:
    (part, _) = json.loads(images("small PNG", detail="low").body(0))["messages"][0]["content"]
    assert part["image_url"]["detail"] == "low"


def test_a_image_in_five_turns() -> None:
    """Conversations take turns; each shows one image in all of its own, and the next round shows others."""
    rounds = [repeated().bodies(CONVERSATIONS, first=turn * CONVERSATIONS) for turn in range(6)]
    shown = [[urls(body)[0] for body in bodies] for bodies in rounds]
    assert shown[0] == shown[1] == shown[4]
    assert len(set(shown[0])) == CONVERSATIONS
    assert not set(shown[5]) & set(shown[0])
    lengths = [len(json.loads(bodies[0])["messages"]) for bodies in rounds]
    assert lengths == [1, 3, 5, 7, 9, 1]


def test_texts_begin_differently() -> None:
    """No prefix cache takes one for another."""
    assert text(5, 12).startswith("12: ")
    assert len(text(5, 12).split()) == 6
