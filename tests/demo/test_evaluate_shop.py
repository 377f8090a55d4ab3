"""Measuring runs a loop as an agent would, and counts right calls and right ends."""

import asyncio
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from demo.evaluate_shop import loop, measure_shop, right_steps
from demo.exam import Question
from demo.exam_shop import Errand, Form, ShopTask
from demo.language import encode_turns, user
from demo.shop import BOOK_PRICE, FINAL_ANSWER, SHAPE_PRICE, recorded_call, recorded_result
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.tools import with_tools, written
from phiserve.core import Conversation, ToolCall, Turn
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.translation import told_conversation

PICTURE = Image.new("RGB", (4, 3), (200, 30, 30))
CALL = ("shape_price", {"color": "red", "shape": "circle"}, "12")
ASKED = Question((PICTURE,), (), "What does this shape cost?", "The red circle costs 12.")
RIGHT = [("shape_price", {"color": "red", "shape": "circle"})]
STEP = 'shape_price {"color": "red", "shape": "circle"}'


def errand(form: Form = "tool messages", call: Any = CALL) -> Errand:
    tools = (SHAPE_PRICE, BOOK_PRICE, *([FINAL_ANSWER] if form == "own record" else ()))
    return Errand(ASKED, "Be brief.", tools, call, form, question_first=False)


def message(said: Any) -> Any:
    """An answer: words, or a list of calls as (name, arguments)."""
    if isinstance(said, str):
        return SimpleNamespace(content=said, tool_calls=None)
    calls = [
        SimpleNamespace(
            type="function",
            function=SimpleNamespace(
                name=name, arguments=arguments if isinstance(arguments, str) else json.dumps(arguments)
            ),
        )
        for name, arguments in said
    ]
    return SimpleNamespace(content=None, tool_calls=calls)


class Model:
    """Says what it is given, and keeps what it was asked."""

    def __init__(self, *said: Any) -> None:
        self.asked: list[dict[str, Any]] = []
        self._said: Iterator[Any] = iter(said)
        completions = SimpleNamespace(create=self._create)
        self.client: Any = SimpleNamespace(chat=SimpleNamespace(completions=completions))

    async def _create(self, **options: Any) -> Any:
        self.asked.append({**options, "messages": [*options["messages"]]})
        return SimpleNamespace(choices=[SimpleNamespace(message=message(next(self._said)))])


def test_a_right_loop() -> None:
    """Call, result, answer, in the protocol's own messages."""
    model = Model(RIGHT, "The red circle costs 12.")
    assert asyncio.run(loop(model.client, "m", errand())) == right_steps(errand())
    assert right_steps(errand()) == [STEP, "The red circle costs 12."]
    first, second = model.asked
    assert [told["function"]["name"] for told in first["tools"]] == ["shape_price", "book_price"]
    assert (first["tool_choice"], first["temperature"]) == ("auto", 0)
    assert [told["role"] for told in first["messages"]] == ["system", "user"]
    assert second["messages"][:2] == first["messages"]
    call, result = second["messages"][2:]
    assert json.loads(call["tool_calls"][0]["function"]["arguments"]) == CALL[1]
    assert result == {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "12"}


def test_a_wrong_call_gets_no_price() -> None:
    """So that no right answer can follow it."""
    model = Model([("shape_price", {"color": "red", "shape": "square"})], "I do not know the price.")
    said = asyncio.run(loop(model.client, "m", errand()))
    assert said[0] != STEP
    assert model.asked[1]["messages"][-1]["content"] == "not found"


def test_two_calls_and_cut_ones_are_wrong() -> None:
    """A right one among them does not make them right."""
    model = Model([*RIGHT, ("book_price", '{"title":"AL')], "The red circle costs 12.")
    said = asyncio.run(loop(model.client, "m", errand()))
    assert said[0] == STEP + '; book_price "{\\"title\\":\\"AL"'
    assert model.asked[1]["messages"][-1]["content"] == "not found"


def test_where_every_answer_is_a_call() -> None:
    """The last one counts as words; call and result are told in the agent's own."""
    end = [("final_answer", {"answer": "The red circle costs 12."})]
    model = Model(RIGHT, end)
    where = errand("own record")
    assert asyncio.run(loop(model.client, "m", where)) == right_steps(where)
    assert {asked["tool_choice"] for asked in model.asked} == {"required"}
    call, result = model.asked[1]["messages"][2:]
    assert call["content"].startswith("Calling tools:\n[{'id': ")
    assert result == {"role": "user", "content": "Observation:\n12"}


def test_where_no_call_is_right() -> None:
    """Words at once; whoever calls is not asked again."""
    plain = errand(call=None)
    assert asyncio.run(loop(Model(ASKED.answer).client, "m", plain)) == [ASKED.answer] == right_steps(plain)
    assert asyncio.run(loop(Model(RIGHT).client, "m", plain)) == [STEP]


def test_measure() -> None:
    """Shares of right calls and of right ends, and what went wrong."""
    model = Model(RIGHT, "The red circle costs 12.")
    task = ShopTask("t", 0.9, "s", lambda rng: errand())
    result = asyncio.run(measure_shop(model.client, "m", task, 1))
    assert (result.name, result.goal, result.seed, result.count) == ("t", 0.9, "s", 1)
    assert (result.called, result.answered, result.wrong) == (1, 1, [])
    result = asyncio.run(measure_shop(Model(RIGHT, "The red circle costs 2.").client, "m", task, 1))
    assert (result.called, result.answered) == (1, 0)
    right = f"{STEP} | The red circle costs 12."
    assert result.wrong == [(ASKED.question, right, f"{STEP} | The red circle costs 2.")]


@pytest.mark.parametrize("form", ["tool messages", "own record"])
def test_what_is_posted_is_what_training_knows(form: Form, encoder: PromptEncoder) -> None:
    """As the server encodes it, down to the tools' lines, the call and its result."""
    where = errand(form)
    end: Any = [("final_answer", {"answer": ASKED.answer})] if form == "own record" else ASKED.answer
    model = Model(RIGHT, end)
    asyncio.run(loop(model.client, "m", where))
    posted = json.loads(json.dumps({name: model.asked[1][name] for name in ("model", "messages", "tools")}))
    conversation = told_conversation(ChatCompletionRequest.model_validate(posted))
    name, arguments, result = CALL
    if form == "own record":
        said = recorded_call((name, arguments), "call_1")
        heard = recorded_result(result)
    else:
        said = written([ToolCall(name, json.dumps(arguments))])
        heard = f"Result of {name}:\n{result}"
    turns = (
        *with_tools(Conversation((Turn("system", ("Be brief.",)),)), where.tools).turns,
        user(ASKED.question, pictures=1),
        Turn("assistant", (said,)),
        Turn("user", (heard,)),
    )
    assert encoder.encode(conversation).segments == encode_turns(turns)
