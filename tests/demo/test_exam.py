"""The exam asks what training never saw, always the same, and each question has one answer."""

import re

import pytest

from demo.exam import TASKS, Question, Task
from demo.language import encode_turns, user
from demo.talk import ASKED_WITHOUT, OFF_TOPIC, TALK
from demo.vocabulary import trained_ids
from demo.words import CHART_LABELS, is_held_out

tasks = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


def fingerprint(question: Question) -> tuple[object, ...]:
    return (
        tuple(picture.tobytes() for picture in question.pictures),
        question.earlier,
        question.question,
        question.answer,
    )


@tasks
def test_questions_are_the_same_for_the_same_number(task: Task) -> None:
    """Down to the pixels; and other numbers ask other things."""
    assert fingerprint(task.question(3)) == fingerprint(task.question(3))
    assert len({fingerprint(task.question(number)) for number in range(8)}) > 4


def test_tasks_do_not_share_pictures() -> None:
    """Equal numbers of different tasks are different pictures."""
    pictures = [picture.tobytes() for task in TASKS for picture in task.question(0).pictures]
    assert len(set(pictures)) == len(pictures)


@tasks
def test_only_words_that_training_never_saw(task: Task) -> None:
    """Whatever is read off a picture is held out, but for numbers and the labels of bars."""
    for number in range(12):
        question = task.question(number)
        if not question.pictures:
            continue
        answers = [question.answer, *(answer for _, answer in question.earlier)]
        read = [word for answer in answers for word in spoken(answer)]
        assert [word for word in read if not is_held_out(word)] == []


def spoken(answer: str) -> list[str]:
    """Words of an answer that come from the picture: what is quoted, an author's names, a bar's label."""
    quoted = " ".join(re.findall(r'"([^"]*)"', answer))
    named = " ".join(
        re.findall(r"(?:author is|by|bar is|value of|bars:) (.*)", re.sub(r'"[^"]*"', "", answer))
    )
    words = [word for word in re.findall(r"\w+", f"{quoted} {named}") if word.isalpha()]
    ignored = {
        "with",
        "is",
        "and",
        "the",
        "second",
        "image",
        "shows",
        "a",
        "book",
        "titled",
        "bar",
        "chart",
        "text",
        "on",
    }
    return [word for word in words if word not in {*CHART_LABELS} and word not in ignored]


def test_spoken() -> None:
    """What the test above looks at."""
    assert spoken('The title of the book is "ZIG ZAG" and the author is Al Bo.') == ["ZIG", "ZAG", "Al", "Bo"]
    assert spoken('This is a bar chart titled "ZIG" with two bars: Abc 12, May 3.') == ["ZIG", "Abc"]
    assert spoken("The highest bar is Qwe with 12.") == ["Qwe"]


@tasks
def test_everything_can_be_asked_and_answered(task: Task) -> None:
    """Questions are made of trained tokens; answers are sentences without white space around them."""
    for number in range(8):
        question = task.question(number)
        asked = encode_turns((user(question.question, pictures=len(question.pictures)),))
        assert {token for ids in asked for token in ids} <= {*trained_ids()}
        assert question.answer.endswith((".", "!"))
        assert question.answer == question.answer.strip()


def test_a_second_turn_asks_something_else() -> None:
    """About the same picture, after an answer that is right."""
    (task,) = (task for task in TASKS if "second turn" in task.name)
    for number in range(12):
        question = task.question(number)
        ((earlier, answer),) = question.earlier
        assert earlier != question.question
        assert answer != question.answer or "?" in earlier
        assert len(question.pictures) == 1


def test_talk_is_of_all_kinds() -> None:
    """What is known, what is off topic and what lacks its picture."""
    (task,) = (task for task in TASKS if task.name.startswith("talk"))
    asked = {task.question(number).question for number in range(80)}
    for wordings in ({wording for group, _ in TALK for wording in group}, {*OFF_TOPIC}, {*ASKED_WITHOUT}):
        assert asked & wordings
