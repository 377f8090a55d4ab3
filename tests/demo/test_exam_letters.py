"""Decisions ask what training never saw, always the same, and each has one right option."""

import pytest

from demo.exam_letters import LETTERS_TASKS, LettersTask
from demo.posed import MOST_OPTIONS

tasks = pytest.mark.parametrize("task", LETTERS_TASKS, ids=lambda task: task.name)


@tasks
def test_decisions_are_the_same_for_the_same_number(task: LettersTask) -> None:
    """Down to the pixels; and other numbers ask other things."""
    one, again, other = task.decision(3), task.decision(3), task.decision(4)
    assert one == again
    assert one != other


@tasks
def test_what_is_asked(task: LettersTask) -> None:
    """Of the kind that the task's name says, about a text or a picture, with eight options at most."""
    rights = set()
    for number in range(24):
        decision = task.decision(number)
        named = task.name.partition(",")[0]
        assert decision.question.kind == named or named == "what a picture shows"
        assert isinstance(decision.shown, str) is ("text alone" in task.name)
        assert 2 <= len(decision.question.options) <= MOST_OPTIONS
        rights.add(decision.right)
    assert len(rights) > 1


def test_seeds() -> None:
    """Each task has its own."""
    assert len({task.seed for task in LETTERS_TASKS}) == len({task.name for task in LETTERS_TASKS})
    assert len({task.name for task in LETTERS_TASKS}) == len(LETTERS_TASKS)
