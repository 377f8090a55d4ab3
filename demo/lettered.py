"""Questions answered by the letter of an option: prompts id for id as the server encodes a decision's, and
the label's token, after which nothing is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from demo.language import Branch, encoder
from phiserve.chat.encoder import EncodedPrompt
from phiserve.core import Conversation, Part, Turn
from phiserve.decisions.labels import Labels
from phiserve.decisions.questions import Order, Question

NEWLINE = "\n"


@dataclass(frozen=True, slots=True)
class Lettered(Branch):
    """A branch whose answer is a label. `ends`: how many tokens before the prompt's last one the line of each
    option ends, in the order in which they are shown; `right`: which of them is right.
    """

    ends: tuple[int, ...]
    right: int


@lru_cache(maxsize=1)
def labels() -> Labels:
    """The server's own."""
    return Labels.load(encoder())


def lettered(turns: Sequence[Turn], question: Question, right: int, order: Order) -> Lettered:
    """A question about what `turns` show, the last of which is the user's, with its options in an order.
    `right`: the index of the right option in the question's own order.
    """
    shown = encode_open(tuple(turns)).segments[-1]
    asked = encode_asked(question.asked())
    tail = encode_listed(question.listed(order, labels().texts[: len(order)]))
    label = labels().ids[order.index(right)]
    return Lettered((*shown, *asked, *tail), (label,), (None,), _ends(tail, len(order)), order.index(right))


@lru_cache(maxsize=1024)
def encode_open(turns: tuple[Turn, ...]) -> EncodedPrompt:
    """Ids around the pictures of a conversation whose last turn goes on."""
    return encoder().encode(Conversation(turns, is_open=True))


@lru_cache(maxsize=65536)
def encode_asked(parts: tuple[Part, ...]) -> tuple[int, ...]:
    """Ids of what a question asks, which shows no picture of its own."""
    (ids,) = encoder().encode_more(parts).segments
    return tuple(ids)


@lru_cache(maxsize=65536)
def encode_listed(text: str) -> tuple[int, ...]:
    """Ids of what lists a question's options, and of the answer's beginning."""
    return tuple(encoder().encode_end(text))


@lru_cache(maxsize=1)
def _newline() -> int:
    (_, token) = encoder().encode_text(NEWLINE)
    return token


def _ends(tail: Sequence[int], count: int) -> tuple[int, ...]:
    """Where lines of options end: a blank line stands before them, and each ends with a line break."""
    breaks = [place for place, token in enumerate(tail) if token == _newline()]
    return tuple(len(tail) - place for place in breaks[2 : 2 + count])
