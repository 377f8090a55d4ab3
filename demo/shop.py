"""Two toy tools that tell prices of what a picture shows, and what is asked of them.

The picture decides a call's arguments; the tool alone knows the price.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from demo.canvas import EDGE_KINDS
from demo.palette import COLOURS
from demo.scene import Answer, Copied, Literal, Scene, Segment, Written, text_of
from demo.shapes import PLACES, told_shapes
from phiserve.constraints.tool_calls import OPENING
from phiserve.core import Tool

COSTS = (
    "What does {} cost?",
    "How much is {}?",
    "What is the price of {}?",
    "How much does {} cost?",
)
"""Wordings of a question for the price of something."""

SHAPE_PRICE = Tool(
    "shape_price",
    {
        "type": "object",
        "properties": {"color": {"type": "string"}, "shape": {"type": "string"}},
        "required": ["color", "shape"],
    },
    "The price of a shape, by its color and its kind.",
)
BOOK_PRICE = Tool(
    "book_price",
    {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]},
    "The price of a book, by its title.",
)
FINAL_ANSWER = Tool(
    "final_answer",
    {
        "type": "object",
        "properties": {"answer": {"type": "string", "description": "The final answer to the problem"}},
        "required": ["answer"],
    },
    "Provides a final answer to the given problem.",
)
"""A tool by which agents take an answer where every answer has to be a call, as smolagents asks for it."""

TOOLS = (SHAPE_PRICE, BOOK_PRICE, FINAL_ANSWER)

NAMES = (
    "this book",
    "this shape",
    *(f"the {kind}" for kind in EDGE_KINDS),
    *(f"the shape at the {place}" for place in PLACES),
)
"""What questions call things that have a price."""

NO_PRICE = " I do not know the price."
"""The answer to a result that holds no number."""

NOTHING_PRICED = {
    "shapes": " I see no shapes in this picture.",
    "book": " I see no book in this picture.",
}

_TAIL = Written('"}}]')


@dataclass(frozen=True, slots=True)
class Priced:
    """Something in a picture that a tool knows the price of: what questions and answers call it, and the
    call.
    """

    tool: Tool
    asked_as: str
    answered_as: str
    call: Answer

    def reply(self, price: str | None) -> Answer:
        """The answer once the tool has told the price, or, with None, none."""
        return (Literal(NO_PRICE if price is None else f" {self.answered_as} costs {price}."),)

    def record(self) -> tuple[str, dict[str, str]]:
        """The call's name and arguments."""
        (call,) = json.loads(text_of(self.call).removeprefix(OPENING[:-1]))
        return call["name"], call["arguments"]


def priced(scene: Scene) -> tuple[Priced, ...]:
    """All that can be asked for its price, in each way in which no other thing of the picture is meant."""
    if scene.kind == "book":
        title = next(part for part in scene.exchanges[1].answer if isinstance(part, Copied))
        return (priced_book(title),)
    if scene.kind != "shapes":
        return ()
    shapes = told_shapes(scene)
    kinds = [shape.kind for shape in shapes]
    found = []
    for shape in shapes:
        names = [f"the shape at the {shape.place}"]
        names += [f"the {shape.kind}"] * (kinds.count(shape.kind) == 1)
        names += ["this shape"] * (len(shapes) == 1)
        at = shape.words.x, shape.words.y
        found += [priced_shape(name, shape.colour, shape.kind, at) for name in names]
    return tuple(found)


def priced_shape(asked_as: str, colour: str, kind: str, place: tuple[float, float] | None = None) -> Priced:
    """A shape, and where in a picture it stands."""
    call = Written(shape_call(colour, kind), place)
    return Priced(SHAPE_PRICE, asked_as, f"The {colour} {kind}", (call,))


def priced_book(title: Segment) -> Priced:
    """A book."""
    return Priced(BOOK_PRICE, "this book", "The book", (_head(BOOK_PRICE, "title"), title, _TAIL))


def shape_call(colour: str, kind: str) -> str:
    """The call for the price of a shape, as the server writes it."""
    return f'{_head(SHAPE_PRICE, "color").text}{colour}","shape":"{kind}{_TAIL.text}'


def as_final(answer: Answer) -> Answer:
    """An answer in words as a call of `final_answer`. It begins with a `Literal`, as all answers do."""
    parts = [Literal(part.text.replace('"', '\\"')) if isinstance(part, Literal) else part for part in answer]
    first = Literal(parts[0].text.removeprefix(" "))
    return (_head(FINAL_ANSWER, "answer"), first, *parts[1:], _TAIL)


def calls() -> list[str]:
    """Calls that hold every token that calls consist of, but for what is copied from a picture."""
    shapes = [shape_call(colour, kind) for colour in COLOURS for kind in EDGE_KINDS]
    others = ((BOOK_PRICE, "title"), (FINAL_ANSWER, "answer"))
    return [*shapes, *(f"{_head(tool, name).text}a{_TAIL.text}" for tool, name in others)]


def _head(tool: Tool, argument: str) -> Written:
    """A call up to its first argument's text."""
    return Written(f'{OPENING}{{"name":"{tool.name}","arguments":{{"{argument}":"')


def recorded_call(call: tuple[str, Mapping[str, str]], call_id: str) -> str:
    """A call in the words of an agent that keeps its own record of what was said, as smolagents does."""
    name, arguments = call
    record = {"id": call_id, "type": "function", "function": {"name": name, "arguments": dict(arguments)}}
    return f"Calling tools:\n{[record]}"


def recorded_result(result: str) -> str:
    """A tool's result in such words."""
    return f"Observation:\n{result}"
