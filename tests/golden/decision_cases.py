"""Requests for decisions whose probabilities the reference implementation has told too: `decisions.json`.

`make_decisions.py` writes that file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from images import data_url
from phiserve.decisions.questions import Order, orders

LOGPROBS = Path(__file__).with_name("decisions.json")
"""Of the labels after each look, as the reference model has them."""

NUM_ORDERS = 2
"""In how many orders the options of each question are shown."""

Body = dict[str, Any]

PARCEL = "The parcel arrived open and half empty."
DAMAGED: Body = {"type": "predicate", "instructions": "Is the parcel damaged?"}


def choice(num_options: int, instructions: Any = "Which kind is it?") -> Body:
    """A choice between kinds, every third of which is described."""
    choices: list[Body] = [{"value": f"kind {number}"} for number in range(num_options)]
    for number in range(0, num_options, 3):
        choices[number]["description"] = f"the one with {number} corners"
    return {"type": "choice", "instructions": instructions, "choices": choices}


def score(num_levels: int) -> Body:
    """So many levels."""
    levels = [{"label": f"level {number}"} for number in range(num_levels)]
    return {"type": "score", "instructions": "How far along is it?", "levels": levels}


def user(*parts: Body) -> Body:
    """A user's message."""
    return {"type": "message", "role": "user", "content": list(parts)}


def said(text: str) -> Body:
    """A part of text."""
    return {"type": "input_text", "text": text}


def shown(name: str, golden: Path, detail: str = "low") -> Body:
    """A part that shows one of the golden images."""
    url = data_url((golden / "images" / name).read_bytes())
    return {"type": "input_image", "image_url": url, "detail": detail}


def decision_cases(golden: Path) -> list[Body]:
    """Bodies with none, one and two images, one of them in a question, and up to 255 options."""
    either = {"type": "choice", "instructions": "Is it?", "choices": [{"value": True}, {"value": "true"}]}
    call = {"type": "function_call", "call_id": "a", "name": "scan", "arguments": '{"side":"left"}'}
    output = {"type": "function_call_output", "call_id": "a", "output": "torn"}
    wide, small = shown("03_900x200_RGB.png", golden), shown("05_64x64_RGB.png", golden)
    grey = shown("06_500x333_L.png", golden)
    own = choice(4, [said("Is it like this one?"), grey])
    return [
        {"input": PARCEL, "questions": [DAMAGED, choice(5), score(3), choice(255)]},
        {
            "input": [
                {"role": "system", "content": "You look at parcels."},
                user(said(PARCEL)),
                {"role": "assistant", "content": "I see."},
                user(said("It was żółć 日本.")),
            ],
            "questions": [choice(26), score(10)],
        },
        {
            "input": [user({"type": "input_json", "data": {"weight": [1, 2.5]}}), call, output],
            "questions": [DAMAGED, either],
        },
        {"input": [user(grey, said(PARCEL))], "questions": [DAMAGED, choice(5), score(5), choice(140)]},
        {
            "input": [user(shown("00_640x480_RGB.png", golden, "high"))],
            "questions": [choice(3), DAMAGED, score(2)],
        },
        {"input": [user(wide, small, said("Two."))], "questions": [choice(2), choice(60), score(4)]},
        {"input": [user(small)], "questions": [DAMAGED, own]},
    ]


@dataclass(frozen=True, slots=True)
class Look:
    """A question of a case with its options in one order: what one prompt asks."""

    case: int
    question: int
    order: Order


def looks(cases: list[Body]) -> Iterator[Look]:
    """All of them, in the order of `decisions.json`."""
    for number, case in enumerate(cases):
        for index, question in enumerate(case["questions"]):
            options = question.get("choices") or question.get("levels") or (False, True)
            for order in orders(len(options), NUM_ORDERS):
                yield Look(number, index, order)
