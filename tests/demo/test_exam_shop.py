"""Errands ask what training never saw, always the same, and each has one right call and one answer."""

import pytest

from demo.exam_shop import INSTRUCTIONS, OTHER_TOOL, SHOP_TASKS, ShopTask
from demo.shop import NAMES
from demo.words import is_held_out

tasks = pytest.mark.parametrize("task", SHOP_TASKS, ids=lambda task: task.name)


@tasks
def test_errands_are_the_same_for_the_same_number(task: ShopTask) -> None:
    """Down to the pixels; and other numbers ask other things."""
    one, again, other = task.errand(3), task.errand(3), task.errand(4)
    assert one == again
    assert one != other


@tasks
def test_calls_and_answers(task: ShopTask) -> None:
    """A call's tool is told; the tool's price stands in the answer, and what the picture shows does, too."""
    for number in range(12):
        errand = task.errand(number)
        assert {"shape_price", "book_price"} <= {tool.name for tool in errand.tools}
        assert ("final_answer" in [tool.name for tool in errand.tools]) is (errand.form == "own record")
        if errand.call is None:
            assert "described" in task.name or "talk" in task.name
            continue
        name, arguments, result = errand.call
        assert any(named in errand.question.question for named in NAMES)
        assert errand.question.answer.endswith(f" costs {result}.")
        if name == "shape_price":
            shown = f"The {arguments['color']} {arguments['shape']} costs"
            assert errand.question.answer.startswith(shown)
        else:
            assert all(is_held_out(word) for word in arguments["title"].split())


def test_names_that_are_meant() -> None:
    """Each task asks by its own kind of name."""
    asked = {
        task.seed: [task.errand(number).question.question for number in range(20)] for task in SHOP_TASKS
    }
    assert all("this shape" in question for question in asked["shop one"])
    assert all("the shape at the " in question for question in asked["shop place"])
    assert not any("shape" in question for question in asked["shop kind"])
    assert all("this book" in question for question in asked["shop book"])


def test_surroundings_vary() -> None:
    """Instructions, other tools, and where the question stands."""
    errands = [SHOP_TASKS[0].errand(number) for number in range(60)]
    assert {errand.instructions for errand in errands} == {*INSTRUCTIONS}
    assert 5 < sum(OTHER_TOOL in errand.tools for errand in errands) < 35
    assert {errand.question_first for errand in errands} == {True, False}
