"""Held-out questions where tools are told: the one right call to each, what the tool then says, and the one
right answer.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from demo.exam import SHAPES, TALK, Question, Task
from demo.kinds import DRAW
from demo.scene import text_of
from demo.shop import BOOK_PRICE, COSTS, FINAL_ANSWER, SHAPE_PRICE, Priced, priced
from demo.style import Style, one_font
from phiserve.core import Tool

INSTRUCTIONS = (
    "",
    "You work behind a counter and tell people what things cost.",
    "You serve customers of a small shop for paintings and books.\n\nRules:\n- Look closely at whatever the"
    " customer shows you before you speak.\n- The price list is kept by the till; ask it, and trust it.\n"
    "- Prices are whole numbers without a currency.\n- Be friendly, honest and short; never haggle.",
)
OTHER_TOOL = Tool(
    "convert_currency",
    {
        "type": "object",
        "properties": {"amount": {"type": "number"}, "currency": {"enum": ["EUR", "JPY"]}},
        "required": ["amount", "currency"],
    },
    "Converts an amount of dollars into another currency.",
)

Form = Literal["tool messages", "own record"]
"""How an agent tells the model of its calls: in the protocol's messages, where words end the loop; or in its
own words, as smolagents does, where every answer has to be a call, the last one of `final_answer`.
"""


@dataclass(frozen=True, slots=True)
class Errand:
    """A question to an agent, with the right answer in the end.

    `call`: the one right call, as name and arguments, and what the tool then says; None where no tool is
    needed. `question_first`: whether the question stands before the picture.
    """

    question: Question
    instructions: str
    tools: tuple[Tool, ...]
    call: tuple[str, Mapping[str, str], str] | None
    form: Form
    question_first: bool


Maker = Callable[[random.Random], Errand]


@dataclass(frozen=True, slots=True)
class ShopTask:
    """A row of the table, as `exam.Task`; `goal` is the least share of loops that end right."""

    name: str
    goal: float
    seed: str
    make: Maker

    def errand(self, number: int) -> Errand:
        """Errand `number`, always the same."""
        return self.make(random.Random(f"exam/{self.seed}/{number}"))


def for_price(
    kind: str, is_meant: Callable[[str], bool], style: Style, form: Form = "tool messages"
) -> Maker:
    """Questions for the price of what a picture of this kind shows, asked for by a name that `is_meant`."""

    def make(rng: random.Random) -> Errand:
        picture, thing = _shown(rng, kind, is_meant, style)
        price = str(rng.randint(1, 999))
        asked = rng.choice(COSTS).format(thing.asked_as)
        record, answer = thing.record(), text_of(thing.reply(price))
        return _errand(rng, Question((picture,), (), asked, answer), (*record, price), form)

    return make


def without_call(task: Task) -> Maker:
    """The questions of another task, asked where tools are told that are of no use for them."""
    return lambda rng: _errand(rng, task.make(rng), None, "tool messages")


def _errand(
    rng: random.Random, question: Question, call: tuple[str, Mapping[str, str], str] | None, form: Form
) -> Errand:
    tools = [SHAPE_PRICE, BOOK_PRICE, *([FINAL_ANSWER] if form == "own record" else ())]
    tools += [OTHER_TOOL] * (rng.random() < 0.3)
    rng.shuffle(tools)
    instructions, first = rng.choice(INSTRUCTIONS), form == "own record" or rng.random() < 0.3
    return Errand(question, instructions, tuple(tools), call, form, first)


def _shown(
    rng: random.Random, kind: str, is_meant: Callable[[str], bool], style: Style
) -> tuple[Image.Image, Priced]:
    while True:
        scene = DRAW[kind](rng, style)
        meant = [thing for thing in priced(scene) if is_meant(thing.asked_as)]
        if meant:
            return scene.canvas.picture, rng.choice(meant)


_STYLE = one_font(held_out=True)


def _is_place(name: str) -> bool:
    return name.startswith("the shape at")


def _is_kind(name: str) -> bool:
    return name.startswith("the ") and not _is_place(name)


_ALL_CALLS = for_price("shapes", bool, _STYLE, "own record")

SHOP_TASKS = (
    ShopTask("price of the only shape", 0.90, "shop one", for_price("shapes", "this shape".__eq__, _STYLE)),
    ShopTask("price of the only shape of its kind", 0.85, "shop kind", for_price("shapes", _is_kind, _STYLE)),
    ShopTask("price of a shape by its place", 0.85, "shop place", for_price("shapes", _is_place, _STYLE)),
    ShopTask("price of a book, one font", 0.85, "shop book", for_price("book", bool, _STYLE)),
    ShopTask(
        "price of a shape, every answer a call",
        0.85,
        "shop calls",
        for_price("shapes", bool, _STYLE, "own record"),
    ),
    ShopTask("shapes, described where tools are told", 0.85, "shop shapes", without_call(SHAPES)),
    ShopTask("talk without a picture where tools are told", 0.85, "shop talk", without_call(TALK)),
)
