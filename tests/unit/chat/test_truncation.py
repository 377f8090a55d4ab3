"""Which turns are left out first."""

from phiserve.chat.truncation import newest_turns, num_omissible, without_oldest
from phiserve.core import Conversation, ImagePlaceholder, Turn

SYSTEM, FIRST, ANSWER, TOLD, LAST = (
    Turn("system", ("Be brief.",)),
    Turn("user", ("Hi",)),
    Turn("assistant", ("Hello",)),
    Turn("system", ("Be kind.",)),
    Turn("user", ("And?",)),
)
WHOLE = Conversation((SYSTEM, FIRST, ANSWER, TOLD, LAST), "input", truncates=True)


def test_instructions_and_the_last_turn_stay() -> None:
    """Everything else may go."""
    assert num_omissible(WHOLE) == 2
    assert num_omissible(Conversation((SYSTEM, LAST))) == 0
    assert num_omissible(Conversation(())) == 0


def test_the_oldest_go_first() -> None:
    """In their order, with all else as it was."""
    assert [without_oldest(WHOLE, count).turns for count in range(3)] == [
        WHOLE.turns,
        (SYSTEM, ANSWER, TOLD, LAST),
        (SYSTEM, TOLD, LAST),
    ]
    assert without_oldest(WHOLE, 1).param == "input"
    assert not without_oldest(WHOLE, 1).truncates


def test_the_oldest_go_until_images_are_not_too_many() -> None:
    """No turn more than that takes; instructions and the last turn stay, however many it shows."""
    image = ImagePlaceholder("data:", "auto", "input")
    shown, more = Turn("user", (image, "?")), Turn("user", (image, image))
    whole = Conversation((SYSTEM, FIRST, shown, ANSWER, shown, TOLD, more), truncates=True)
    kept = [newest_turns(whole, most, [1, 1, 1, 1]).turns for most in (4, 3, 2, 1)]
    assert kept == [
        whole.turns,
        (SYSTEM, ANSWER, shown, TOLD, more),
        (SYSTEM, TOLD, more),
        (SYSTEM, TOLD, more),
    ]
    assert newest_turns(whole, 5, [3, 1, 2, 0]).turns == (SYSTEM, ANSWER, shown, TOLD, more)
    assert newest_turns(whole, 3, [1, 1, 1, 1]).truncates
