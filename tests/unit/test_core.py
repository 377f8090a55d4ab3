"""The inner request's own words."""

import pytest

from phiserve.core import (
    Conversation,
    GenerationRequest,
    ImagePlaceholder,
    RawPrompt,
    SamplingOptions,
    Turn,
)


def test_a_conversation_knows_its_images_and_its_text() -> None:
    """In order, over all turns."""
    first, second = (ImagePlaceholder(url, "auto", url) for url in "ab")
    conversation = Conversation(
        (Turn("user", (first, "\nHi")), Turn("assistant", ("Ho",)), Turn("user", (second,)))
    )
    assert conversation.images == (first, second)
    assert conversation.num_characters == 5


@pytest.mark.parametrize(
    ("options", "is_greedy"),
    [
        (SamplingOptions(), False),
        (SamplingOptions(temperature=0), True),
        (SamplingOptions(top_p=0), True),
        (SamplingOptions(temperature=0.01, top_p=0.01), False),
    ],
)
def test_greedy(options: SamplingOptions, is_greedy: bool) -> None:
    """Where only the most likely token can be chosen."""
    assert options.is_greedy is is_greedy


@pytest.mark.parametrize(
    ("turns", "is_open", "expected"),
    [
        ((Turn("user", ("Hi",)),), False, False),
        ((Turn("assistant", ("The",)),), False, False),
        ((Turn("assistant", ("The",)),), True, True),
        ((Turn("assistant", ()),), True, False),
    ],
)
def test_a_first_space_belongs_to_a_turn_that_goes_on(
    turns: tuple[Turn, ...], is_open: bool, expected: bool
) -> None:
    """Where there is text before it; otherwise it is the tokenizer's habit."""
    request = GenerationRequest("x", Conversation(turns, is_open=is_open))
    assert request.keeps_first_space is expected


def test_the_text_before_an_answer() -> None:
    """An assistant's last turn, or a raw prompt's text."""
    assert Conversation((Turn("user", ("Hi",)), Turn("assistant", ("The",)))).text_before == "The"
    assert Conversation((Turn("user", ("Hi",)),)).text_before == ""
    assert (RawPrompt("a").text_before, RawPrompt((5,)).text_before) == ("a", "")
