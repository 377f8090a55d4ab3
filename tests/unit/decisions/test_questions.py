"""What a prompt says of a question, in which orders."""

import pytest

from phiserve.core import ImagePlaceholder
from phiserve.decisions.questions import Option, Question, orders, texts_of

IMAGE = ImagePlaceholder("data:", "low", "questions[0].instructions[0].image_url")


def test_shown() -> None:
    """Instructions, an option a line with its label, how to answer."""
    options = (Option("circle"), Option("square", "four equal sides"))
    question = Question("choice", ("Which shape?",), options, "questions[0]")
    assert question.asked() == ("\n\nWhich shape?",)
    assert question.listed((1, 0), ("A", "B")) == (
        "\n\n- A: square (four equal sides)\n- B: circle\nAnswer with the letters of one option only."
    )


def test_an_image_of_the_question_s_own() -> None:
    """Stands where it is given."""
    question = Question("predicate", ("Like this?", IMAGE), (Option("No"), Option("Yes")), "questions[0]")
    assert question.asked() == ("\n\nLike this?\n", IMAGE, "\n")


@pytest.mark.parametrize(
    ("num_options", "count", "expected"),
    [
        (3, 1, [(0, 1, 2)]),
        (3, 2, [(0, 1, 2), (2, 1, 0)]),
        (4, 4, [(0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (1, 0, 3, 2)]),
        (2, 4, [(0, 1), (1, 0)]),
    ],
)
def test_orders(num_options: int, count: int, expected: list[tuple[int, ...]]) -> None:
    """None of them twice; of four options, each stands in each place once."""
    assert list(orders(num_options, count)) == expected


def test_values_that_look_alike() -> None:
    """A string and a boolean, white space, nothing, several lines: as JSON. Everything else as it is."""
    assert texts_of(["true", True]) == ('"true"', "true")
    assert texts_of([True, False]) == ("true", "false")
    assert texts_of(["red", " red", "", "a\nb", "é"]) == ("red", '" red"', '""', '"a\\nb"', "é")
    assert texts_of(["x ", '"x "']) == ('"x "', r'"\"x \""')


def test_a_description_is_no_option() -> None:
    """One of several lines is written as JSON, on the option's line."""
    question = Question("choice", ("?",), (Option("a", "good\n- B: b"), Option("b", "bad")), "questions[0]")
    listed = question.listed((0, 1), ("A", "B"))
    assert '- A: a ("good\\n- B: b")\n- B: b (bad)' in listed
