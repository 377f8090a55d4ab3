"""What a client sees of deltas."""

import pytest
from msgspec.structs import replace

from phiserve.answer import Answer
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.vocabulary import Vocabulary
from phiserve.core import TokenCounts
from phiserve.engine.interface import Candidate, Position
from scripted import delta


@pytest.fixture
def answer(vocabulary: Vocabulary) -> Answer:
    return Answer([1, 2, 3], 0, vocabulary, top_logprobs=1)


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
    assert b"".join(bytes(token.bytes) for token in visible.logprobs).decode() == visible.text
    assert [len(token.top_logprobs) for token in visible.logprobs] == [1] * len(ids)


def test_impossible_candidates_are_json(answer: Answer) -> None:
    """Minus infinity becomes OpenAI's -9999."""
    position = Position(Candidate(13, float("-inf")), ())
    visible = answer.feed(replace(delta("\n", ids=[13]), positions=(position,)))
    assert visible.logprobs is not None
    assert visible.logprobs[0].logprob == -9999.0


def test_usage_sums_choices(answer: Answer) -> None:
    """Completion tokens sum over choices; the prompt is counted once."""
    answer.feed(delta("a", ids=[5, 6]))
    answer.feed(delta("b", index=1, ids=[7]))
    assert answer.counts() == TokenCounts(prompt=3, completion=3, cached=0, image=0)


def test_text_that_goes_on_keeps_its_space(vocabulary: Vocabulary, encoder: PromptEncoder) -> None:
    """The first token's space is text where the answer continues the prompt, in its bytes too."""
    [token] = encoder.encode_text("time")
    answer = Answer([1, 2, 3], 0, vocabulary, top_logprobs=0, continues_text=True)
    visible = answer.feed(
        replace(delta(" time", ids=[token]), positions=(Position(Candidate(token, -0.5), ()),))
    )
    assert visible.text == " time"
    assert visible.logprobs is not None
    assert [logprob.token for logprob in visible.logprobs] == [" time"]
