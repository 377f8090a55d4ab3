"""Measuring asks for each order of options by itself, and makes of them what the server would."""

import asyncio
import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from deciding import put_to_engine
from demo.evaluate_letters import Read, asked, measure_letters, read, result_of, shown
from demo.exam_letters import LETTERS_TASKS, Decision, LettersTask
from demo.language import user
from demo.lettered import lettered
from phiserve.chat.encoder import PromptEncoder
from phiserve.decisions.figures import Reading
from phiserve.decisions.questions import Option, Order, Question, orders
from phiserve.errors import StartupError

COLOURS = Question("choice", ("Which?",), tuple(map(Option, ("red", "green", "blue"))), "")
IS_IT = Question("predicate", ("Is it?",), (Option("No"), Option("Yes")), "")


def decision(question: Question = COLOURS, right: int = 0) -> Decision:
    return Decision("It is red.", question, right)


def task_of(one: Decision) -> LettersTask:
    return LettersTask("t", 0.9, "s", lambda rng: one)


class Model:
    """Gives each option a log-probability by its text and its place."""

    def __init__(
        self, of_text: dict[str, float], of_place: Sequence[float] = (), num_orders: int = 1
    ) -> None:
        self.asked: list[dict[str, Any]] = []
        self._of_text, self._of_place, self._num_orders = of_text, of_place, num_orders
        self.client: Any = SimpleNamespace(decisions=SimpleNamespace(create=self._create))

    async def _create(self, **options: Any) -> Any:
        self.asked.append(options)
        return SimpleNamespace(answers=[self._answer(question) for question in options["questions"]])

    def _answer(self, question: dict[str, Any]) -> Any:
        options = question.get("choices") or question.get("levels") or [{"value": "No"}, {"value": "Yes"}]
        texts = [option.get("value") or option.get("label") for option in options]
        logs: list[float | None] = [
            self._of_text[text] + (self._of_place[place] if self._of_place else 0)
            for place, text in enumerate(texts)
        ]
        return SimpleNamespace(diagnostics={"orders": self._num_orders, "logprobs": logs})


def test_each_order_is_read_back() -> None:
    """To the question's own order of options; all in one request."""
    model = Model({"red": math.log(0.5), "green": math.log(0.3), "blue": math.log(0.2)})
    readings = asyncio.run(read(model.client, "m", decision()))
    assert len(readings) == 4
    for reading in readings:
        assert [math.exp(value) for value in reading.logprobs] == pytest.approx([0.5, 0.3, 0.2])
    (request,) = model.asked
    assert (request["model"], request["input"]) == ("m", "It is red.")
    assert request["extra_body"] == {"return_diagnostics": True}
    values = [[choice["value"] for choice in question["choices"]] for question in request["questions"]]
    assert [tuple(map(("red", "green", "blue").index, one)) for one in values] == [*orders(3, 4)]


def test_flips() -> None:
    """Of a model that takes the first place whatever it says: before averaging, and after it too, since of
    three options no two orders put all in the first place; of one that knows: none.
    """
    model = Model({"red": -0.2, "green": 0.0, "blue": -0.1}, of_place=(3.0, 0.0, 0.0))
    result = asyncio.run(measure_letters(model.client, "m", task_of(decision()), 3))
    assert (result.name, result.goal, result.seed, result.count) == ("t", 0.9, "s", 3)
    assert (result.flips_before, result.flips_after) == (1, 1)
    assert len(result.right) == len(result.calibration_error) == 3
    firm = Model({"red": 0.0, "green": -5.0, "blue": -5.0}, of_place=(1.0, 0.0, 0.0))
    result = asyncio.run(measure_letters(firm.client, "m", task_of(decision()), 3))
    assert (result.flips_before, result.flips_after) == (0, 0)
    assert (result.right, result.wrong) == ((1, 1, 1), [])


def test_two_options() -> None:
    """Have two orders: no flips after averaging are told, and four orders are as two."""
    model = Model({"No": 0.0, "Yes": -1.0}, of_place=(0.5, 0.0))
    result = asyncio.run(measure_letters(model.client, "m", task_of(decision(IS_IT, 1)), 2))
    assert result.flips_after is None
    assert result.right == (0, 0, 0)
    assert result.calibration_error[1] == result.calibration_error[2] != result.calibration_error[0]
    assert result.wrong == [("Is it?", "Yes", "No")] * 2


def test_calibration_error() -> None:
    """How far the likeliest option's probability is from how often it is right: here 0.8 and never, in one
    order, 0.5 and always in two, of which equal ones choose the earlier option.
    """
    first, second = Reading((math.log(0.2), math.log(0.8))), Reading((math.log(0.8), math.log(0.2)))
    result = result_of(task_of(decision()), [Read(decision(IS_IT, 0), (first, second))])
    assert result.right == (0, 1, 1)
    assert result.calibration_error == pytest.approx((0.8, 0.5, 0.5))
    assert result.flips_before == 1


def test_a_server_that_averages() -> None:
    """Is no server to measure at: what one order gives it does not tell."""
    model = Model({"No": 0.0, "Yes": -1.0}, num_orders=2)
    with pytest.raises(StartupError, match="decision_orders 1"):
        asyncio.run(read(model.client, "m", decision(IS_IT)))


@pytest.mark.parametrize("task", LETTERS_TASKS, ids=lambda task: task.name)
def test_what_is_posted_is_what_training_knows(encoder: PromptEncoder, task: LettersTask) -> None:
    """As the server encodes it, in every order, with the labels that it reads."""
    for number in range(2):
        one = task.decision(number)
        every = orders(len(one.question.options), 4)
        body = {"input": shown(one), "questions": [asked(one.question, order) for order in every]}
        turn = user(one.shown) if isinstance(one.shown, str) else user("", pictures=1)
        for order, put in zip(every, put_to_engine(encoder, body), strict=True):
            expected = lettered((turn,), one.question, one.right, order)
            assert tuple(put.prompt_ids[-len(expected.prompt) :]) == expected.prompt
            assert expected.answer == (put.label_ids[order.index(one.right)],)


def test_own_types() -> None:
    """In its own order a question is of its own type; descriptions go along."""
    levels = Question("score", ("How?",), (Option("low"), Option("high", "It is high")), "")
    own: Order = (0, 1)
    assert asked(IS_IT, own) == {"type": "predicate", "instructions": "Is it?"}
    assert asked(levels, own)["levels"] == [{"label": "low"}, {"label": "high", "description": "It is high"}]
    assert asked(levels, (1, 0)) == {
        "type": "choice",
        "instructions": "How?",
        "choices": [{"value": "high", "description": "It is high"}, {"value": "low"}],
    }


def test_pictures() -> None:
    """Are shown as PNGs in data URLs."""
    (message,) = shown(Decision(Image.new("RGB", (4, 3)), IS_IT, 0))
    assert message["content"][0]["image_url"].startswith("data:image/png;base64,")
