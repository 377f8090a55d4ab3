"""Questions as the inside of the server knows them, and what a prompt says of each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from phiserve.chat.joining import join_parts
from phiserve.core import Part

Kind = Literal["predicate", "choice", "score"]

Order = tuple[int, ...]
"""Options' indices in the order in which a prompt shows them."""

PREDICATE_OPTIONS = ("No", "Yes")
"""What a predicate is read as: whether it is true is the second one's probability."""

_REQUEST = "Answer with the letters of one option only."


@dataclass(frozen=True, slots=True)
class Option:
    """One of a question's options: a value of a choice, a level of a score."""

    text: str
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question about the shared input. `instructions` are parts as they were given; `param` is its path."""

    kind: Kind
    instructions: tuple[Part, ...]
    options: tuple[Option, ...]
    param: str

    def asked(self) -> tuple[Part, ...]:
        """What the prompt says of it first: its instructions.

        The blank line before them is a boundary for the tokenizer, so that all that comes before has the same
        ids whatever the question.
        """
        return join_parts(["\n\n", *self.instructions])

    def listed(self, order: Order, labels: Sequence[str]) -> str:
        """What the prompt says of it then: a line for each option in this order, and how to answer.

        It begins with a blank line, too.
        """
        lines = [line_of(label, self.options[index]) for label, index in zip(labels, order, strict=True)]
        return "\n\n" + "\n".join([*lines, _REQUEST])


def orders(num_options: int, count: int) -> tuple[Order, ...]:
    """The orders in which a question's options are shown: 1, 2 or 4.

    As given and reversed, then both of them turned by half the options, so that each option stands early
    and late. Those that are the same are left out.
    """
    given = tuple(range(num_options))
    turned = given[num_options // 2 :] + given[: num_options // 2]
    every = (given, given[::-1], turned, turned[::-1])
    return tuple(dict.fromkeys(every[:count]))


def texts_of(values: Sequence[str | bool]) -> tuple[str, ...]:
    """How choices' values are shown: as they are, or as JSON where they would be mistaken for each other."""
    needs_json = len({type(value) for value in values}) > 1
    return tuple(_text(value, needs_json) for value in values)


def _text(value: str | bool, as_json: bool = False) -> str:
    """As it is where it can stand on a line of its own and be mistaken for no other; else as JSON."""
    if isinstance(value, str) and not as_json and value.isprintable() and value.strip() == value != "":
        return value if not value.startswith('"') else json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)


def line_of(label: str, option: Option) -> str:
    """How a prompt shows one option."""
    described = "" if option.description is None else f" ({_text(option.description)})"
    return f"- {label}: {option.text}{described}"
