"""The inner request's own words."""

import pytest

from phiserve.core import Conversation, ImagePlaceholder, SamplingOptions, Turn


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
