"""Log-probabilities in OpenAI's older form, whole and streamed."""

import asyncio
import json
from collections.abc import AsyncIterator

import openai
from msgspec.structs import replace

from phiserve.answer import Answer
from phiserve.api.completion_writer import CompletionHead, CompletionWriter, TextOffsets, collect, spelled
from phiserve.api.several_prompts import Answers
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.vocabulary import Vocabulary
from phiserve.core import TokenLogprob, TopLogprob
from phiserve.engine.interface import Candidate, Delta, Position
from phiserve.protocol.events import encode_json
from phiserve.protocol.text_completion import TextLogprobs
from scripted import delta

TEXT = " Hello wörld 日本"
HEAD = CompletionHead("cmpl-x", "m", with_usage=True, with_counts=False, with_token_ids=False, created=3)


def told(encoder: PromptEncoder) -> list[Delta]:
    """A text, token by token, with each token's log-probability and that of a line feed beside it."""
    ids = encoder.encode_text(TEXT[1:])
    texts = [TEXT, *[""] * (len(ids) - 1)]
    deltas = [
        replace(
            delta(text, ids=[token]),
            positions=(
                Position(Candidate(token, -0.5 - at), (Candidate(token, -0.5 - at), Candidate(13, -9.0))),
            ),
        )
        for at, (token, text) in enumerate(zip(ids, texts, strict=True))
    ]
    deltas[-1] = replace(deltas[-1], finish_reason="length")
    return deltas


def answers(vocabulary: Vocabulary) -> Answers:
    """Of one prompt, with the likeliest candidate beside the chosen token."""
    return Answers((Answer([1, 5], 0, vocabulary, top_logprobs=2, keeps_first_space=True),), 1)


def test_whole(vocabulary: Vocabulary, encoder: PromptEncoder) -> None:
    """The openai client reads it; tokens begin where their offsets say, and add up to the text."""

    async def deltas() -> AsyncIterator[Delta]:
        for each in told(encoder):
            yield each

    whole = asyncio.run(collect(answers(vocabulary), deltas(), HEAD))
    completion = openai.types.Completion.model_validate_json(encode_json(whole), strict=True)
    [choice] = completion.choices
    assert (choice.text, choice.finish_reason) == (TEXT, "length")
    assert choice.logprobs is not None
    tokens, offsets = choice.logprobs.tokens or [], choice.logprobs.text_offset or []
    for token, offset in zip(tokens, offsets, strict=True):
        assert token.startswith("bytes:") or TEXT[offset:].startswith(token)
    assert "".join(token for token in tokens if not token.startswith("bytes:")) in (TEXT, " Hello wörld ")
    assert choice.logprobs.token_logprobs == [-0.5 - at for at in range(len(tokens))]
    assert choice.logprobs.top_logprobs == [{token: -0.5 - at, "\n": -9.0} for at, token in enumerate(tokens)]


def test_streamed(vocabulary: Vocabulary, encoder: PromptEncoder) -> None:
    """The events' lists, one after the other, are those of the whole answer."""
    writer = CompletionWriter(answers(vocabulary), HEAD)
    events = b"".join([writer.feed(each) for each in told(encoder)] + [writer.end()]).split(b"\n\n")
    chunks = [json.loads(line.removeprefix(b"data: ")) for line in events[:-2]]
    assert (events[-2], chunks[-1]["usage"]["completion_tokens"]) == (b"data: [DONE]", len(chunks) - 1)
    offsets = [offset for chunk in chunks[:-1] for offset in chunk["choices"][0]["logprobs"]["text_offset"]]
    assert offsets == sorted(offsets)
    assert offsets[:2] == [0, len(" Hello")]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[-3:-1]] == [None, "length"]


def test_counts_in_every_event(vocabulary: Vocabulary) -> None:
    """Where vLLM's `continuous_usage_stats` asks for them."""
    head = CompletionHead("cmpl-x", "m", with_usage=True, with_counts=True, with_token_ids=False)
    writer = CompletionWriter(answers(vocabulary), head)
    sent = [writer.feed(delta(" a", ids=[5])), writer.feed(delta(" b", ids=[6, 7], finish="stop"))]
    counts = [json.loads(event.removeprefix(b"data: "))["usage"]["completion_tokens"] for event in sent]
    assert counts == [1, 3]


def test_a_delta_that_shows_nothing_is_no_event(vocabulary: Vocabulary) -> None:
    """Held-back text comes later."""
    assert CompletionWriter(answers(vocabulary), HEAD).feed(delta("")) == b""


def test_parts_of_characters() -> None:
    """Are spelled as bytes; the next token begins behind the character that they make up together."""
    halves = [
        TokenLogprob("\ufffd", -1.0, [0xC3], [TopLogprob("\ufffd", -0.5, [0xC4])]),
        TokenLogprob("\ufffd", -2.0, [0xB6], []),
        TokenLogprob("x", -3.0, [0x78], []),
    ]
    assert TextOffsets().logprobs(halves) == TextLogprobs(
        tokens=["bytes:\\xc3", "bytes:\\xb6", "x"],
        token_logprobs=[-1.0, -2.0, -3.0],
        top_logprobs=[{"bytes:\\xc4": -0.5, "bytes:\\xc3": -1.0}, {"bytes:\\xb6": -2.0}, {"x": -3.0}],
        text_offset=[0, 0, 1],
    )
    assert spelled("日".encode()) == "日"
