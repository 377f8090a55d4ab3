"""What a client sees of deltas."""

import pytest
from msgspec.structs import replace

from phiserve.answer import Answer
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.vocabulary import Vocabulary
from phiserve.engine.interface import Candidate, Position
from phiserve.pipeline import PreparedChat
from phiserve.protocol.chat import ChatCompletionRequest
from scripted import delta


@pytest.fixture
def answer(vocabulary: Vocabulary) -> Answer:
    fields = {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "logprobs": True,
        "top_logprobs": 1,
    }
    request = ChatCompletionRequest.model_validate(fields)
    return Answer(PreparedChat("id", request, [1, 2, 3], (), 10), vocabulary)


def test_prefix_space_is_dropped_once_for_each_choice(answer: Answer) -> None:
    """Only the first space of each choice goes, however late the first text comes."""
    texts = [
        answer.feed(delta(text, index=index)).text
        for index, text in [(0, ""), (0, " a"), (1, "  b"), (0, " c"), (1, " d")]
    ]
    assert texts == ["", "a", " b", " c", " d"]


def test_tokens_add_up_to_the_text(answer: Answer, encoder: PromptEncoder) -> None:
    """The bytes of the chosen tokens, concatenated, are the text, first token included."""
    ids = encoder.encode_text("Hello wörld 日本")
    candidates = [
        Position(Candidate(token, -0.5), (Candidate(token, -0.5), Candidate(13, -1.5))) for token in ids
    ]
    visible = answer.feed(replace(delta(" Hello wörld 日本", ids=ids), positions=tuple(candidates)))
    assert visible.logprobs is not None
    assert b"".join(bytes(token.bytes) for token in visible.logprobs.content).decode() == visible.text
    assert [len(token.top_logprobs) for token in visible.logprobs.content] == [1] * len(ids)


def test_impossible_candidates_are_json(answer: Answer) -> None:
    """Minus infinity becomes OpenAI's -9999."""
    position = Position(Candidate(13, float("-inf")), ())
    visible = answer.feed(replace(delta("\n", ids=[13]), positions=(position,)))
    assert visible.logprobs is not None
    assert visible.logprobs.content[0].logprob == -9999.0


def test_usage_sums_choices(answer: Answer) -> None:
    """Completion tokens sum over choices; text and image tokens make up the prompt."""
    answer.feed(delta("a", ids=[5, 6]))
    answer.feed(delta("b", index=1, ids=[7]))
    usage = answer.usage()
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (3, 3, 6)
    assert usage.prompt_tokens_details.text_tokens + usage.prompt_tokens_details.image_tokens == 3
