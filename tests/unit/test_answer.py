"""What a client sees of deltas."""

import pytest
from msgspec.structs import replace

from phiserve.answer import Answer, VisibleDelta
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.special_tokens import Control
from phiserve.chat.vocabulary import Vocabulary
from phiserve.core import FinishReason, TokenCounts
from phiserve.engine.interface import Candidate, Delta, Position
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
    answer = Answer([1, 2, 3], 0, vocabulary, top_logprobs=0, keeps_first_space=True)
    visible = answer.feed(
        replace(delta(" time", ids=[token]), positions=(Position(Candidate(token, -0.5), ()),))
    )
    assert visible.text == " time"
    assert visible.logprobs is not None
    assert [logprob.token for logprob in visible.logprobs] == [" time"]


def scored(text: str, ids: list[int], finish: FinishReason | None = None) -> Delta:
    """A delta with log-probabilities."""
    positions = tuple(Position(Candidate(token, -0.5), ()) for token in ids)
    return replace(delta(text, ids=ids, finish=finish), positions=positions)


def tokens_of(visible: VisibleDelta) -> str:
    """The tokens whose log-probabilities a delta lists, concatenated."""
    return b"".join(bytes(logprob.bytes) for logprob in visible.logprobs or ()).decode()


@pytest.mark.parametrize("end", [Control.END, Control.ENDOFTEXT])
def test_the_end_token_has_no_log_probability(answer: Answer, encoder: PromptEncoder, end: Control) -> None:
    """It ends the answer and is counted, and is no token of the content."""
    ids = encoder.encode_text("good day")
    visible = answer.feed(scored(" good day", [*ids, end], "stop"))
    assert tokens_of(visible) == visible.text == "good day"
    assert answer.counts().completion == len(ids) + 1


def test_tokens_of_a_cut_stop_string_have_no_log_probabilities(
    answer: Answer, encoder: PromptEncoder
) -> None:
    """The string and all after it are cut off, over however many tokens it goes."""
    ids = encoder.encode_text("one two three four")
    visible = answer.feed(scored(" one ", ids, "stop"))
    assert (visible.text, tokens_of(visible)) == ("one ", "one two")


def test_log_probabilities_come_with_their_text(answer: Answer, encoder: PromptEncoder) -> None:
    """In a stream too: text that may be a stop string's is held back, and with it what its tokens have."""
    one, two, three = ([*encoder.encode_text(text)] for text in ("one", "two", "three"))
    deltas = [scored("", one), scored(" one", two), scored("", three), scored(" two", [], "stop")]
    fed = [answer.feed(each) for each in deltas]
    assert [visible.text for visible in fed] == ["", "one", "", " two"]
    assert [tokens_of(visible) for visible in fed] == ["", "one", "", " two"]


@pytest.mark.parametrize(("finish", "listed"), [("stop", 0), ("length", 2)])
def test_the_first_bytes_of_a_character(answer: Answer, finish: FinishReason, listed: int) -> None:
    """They come with the whole character; where the answer is cut off before, they come last."""
    whole = answer.feed(scored("é", [0xC3 + 3, 0xA9 + 3]))
    assert tokens_of(whole) == "é"
    assert answer.feed(scored("", [0xC3 + 3])).logprobs == []
    last = answer.feed(scored("", [0xC3 + 3], finish))
    assert len(last.logprobs or ()) == listed


def test_a_space_that_was_asked_for_is_kept(vocabulary: Vocabulary, encoder: PromptEncoder) -> None:
    """It is the text's, and the first token's."""
    answer = Answer([1], 0, vocabulary, top_logprobs=0, keeps_first_space=True)
    visible = answer.feed(scored(" yes", [*encoder.encode_text("yes")], "stop"))
    assert tokens_of(visible) == visible.text == " yes"


def test_an_echo_begins_each_choice(vocabulary: Vocabulary) -> None:
    """Once, before the first text, which keeps a space of its own."""
    answer = Answer([1], 0, vocabulary, keeps_first_space=True, echo="Once upon")
    texts = [answer.feed(delta(text, index=index)).text for index, text in [(0, ""), (0, " a"), (1, " the")]]
    assert texts == ["Once upon", " a", "Once upon the"]
