"""Parts of a turn are joined as the model was trained to read them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phiserve.chat.joining import checked_text, join_parts
from phiserve.core import ImagePlaceholder, Part
from phiserve.errors import InvalidRequest

IMAGE = ImagePlaceholder("data:x", "auto", "p")


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        ([], ()),
        ([""], ()),
        (["a"], ("a",)),
        (["a", "b"], ("a\nb",)),
        (["a\n", "b"], ("a\nb",)),
        (["a", "\nb"], ("a\nb",)),
        ([IMAGE], (IMAGE, "\n")),
        ([IMAGE, "a"], (IMAGE, "\na")),
        (["a", IMAGE], ("a\n", IMAGE, "\n")),
        ([IMAGE, IMAGE], (IMAGE, "\n", IMAGE, "\n")),
    ],
)
def test_newlines_stand_between_parts(parts: list[Part], joined: tuple[Part, ...]) -> None:
    """An image has one after it, texts are parted by one unless they bring it."""
    assert join_parts(parts) == joined


@given(st.lists(st.one_of(st.text("a\n", max_size=3), st.just(IMAGE)), max_size=6))
def test_joining_once_is_enough(parts: list[Part]) -> None:
    """Joined parts are left as they are, no two texts touch and none is empty."""
    joined = join_parts(parts)
    assert [part for part in joined if part is IMAGE] == [part for part in parts if part is IMAGE]
    kinds = [isinstance(part, str) for part in joined]
    assert not any(first and second for first, second in itertools.pairwise(kinds))
    assert all(joined)


def test_half_a_surrogate_pair_is_no_text() -> None:
    """UTF-8 cannot express it, although JSON can spell it."""
    assert checked_text("ä🙂", "p") == "ä🙂"
    with pytest.raises(InvalidRequest) as caught:
        checked_text("a\ud800", "messages[0].content")
    assert caught.value.param == "messages[0].content"
