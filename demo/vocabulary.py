"""The tokens that are trained: all that questions and answers consist of. All others embed as zeros, as an
unknown word does.
"""

import string
from collections.abc import Iterator
from functools import lru_cache

from demo import book, chart, lines, pairs, shapes, shop, talk
from demo.language import encode_turns, encode_words, token_ids, user
from demo.palette import COLOURS
from demo.words import CHART_LABELS
from phiserve.chat.special_tokens import Control
from phiserve.chat.tools import result_headings
from phiserve.core import Turn

_LITERALS = (
    ' The title of the book is "" and the author is. The title is "". The author is.'
    ' The picture shows a book titled "" by.',
    ' This is a bar chart titled "" with bars: , . The highest lowest bar is with.'
    " There are bars in the chart. The value of is.",
    " The picture shows a an at the and, on background. There is one shape are shapes in the picture."
    " The background is.",
    ' It says "". The first image shows and the second image shows the text.'
    " I see no book chart text shapes in this picture.",
    *(
        " " + " ".join(words)
        for words in (chart.NUMBERS, shapes.NUMBERS, COLOURS, shapes.PLACES, ("circle", "square", "triangle"))
    ),
    *(answer for _, answer in talk.TALK),
    *(talk.REFUSAL, talk.NO_PICTURE, shop.NO_PRICE, *shop.NOTHING_PRICED.values()),
    *(f" The {thing} costs 12." for thing in (*COLOURS, "circle", "square", "triangle", "book")),
)

_TOOL_TEXTS = (
    *shop.calls(),
    *(f"{heading}\n12" for tool in shop.TOOLS for heading in result_headings([tool.name])),
    *(f"{tool.name} {tool.description}" for tool in shop.TOOLS),
    f"Calling tools:\n{[{'id': 'call_1', 'type': 'function', 'function': {'name': 'shape_price'}}]}",
    "Observation:\n12",
    '{"price": 12}',
)
"""What calls, their results and the lines that tell tools consist of, as the server encodes them."""


def questions() -> Iterator[str]:
    """Every wording of every question."""
    for module in (book, chart, lines, pairs, shapes):
        for name in (
            "BOTH",
            "TITLE",
            "AUTHOR",
            "DESCRIBE",
            "INTRODUCE",
            "HIGHEST",
            "LOWEST",
            "COUNT",
            "QUESTIONS",
            "BACKGROUND",
        ):
            yield from getattr(module, name, ())
    yield from (*pairs.FIRST, *pairs.SECOND, *talk.OFF_TOPIC, *talk.ASKED_WITHOUT)
    for wordings, _ in talk.TALK:
        yield from wordings
    for wording in shop.COSTS:
        for name in shop.NAMES:
            yield wording.format(name)
    for wording in chart.VALUE:
        for label in (*CHART_LABELS, "1234567890"):
            yield wording.format(label)


@lru_cache(maxsize=1)
def trained_ids() -> tuple[int, ...]:
    """Ids of the trained tokens, ascending."""
    ids = {*Control} - {Control.IMAGE}
    ids |= {
        token_ids()[character] for character in string.ascii_letters + string.digits + ".,:;!?\"'-()\\\u2581"
    }
    for question in questions():
        for worded in {question, question.rstrip("?.!"), question[0].lower() + question[1:]}:
            turns = (
                user(worded),
                user(worded, pictures=1),
                user(worded, pictures=1, layout="question first"),
            )
            ids |= {token for turn in turns for segment in encode_turns((turn,)) for token in segment}
    ids |= {
        token for segment in encode_turns((user("a", pictures=2, layout="labelled"),)) for token in segment
    }
    for system in talk.SYSTEM_PROMPTS:
        ids |= set(encode_turns((Turn("system", (system,)), user("a")))[0])
    for text in _TOOL_TEXTS:
        for role in ("user", "assistant"):
            ids |= set(encode_turns((Turn(role, (text,)),))[0])
    for text in _LITERALS:
        ids |= {
            *encode_words(text),
            *(token for part in text.split(". ") for token in encode_words(part.strip())),
        }
        ids |= set(encode_turns((Turn("assistant", (text.strip(),)),))[0])
    return tuple(sorted(map(int, ids)))


@lru_cache(maxsize=1)
def row_of() -> dict[int, int]:
    """Token id -> row of the trained embedding; `len(trained_ids())` is the row of zeros for all others."""
    return {token: row for row, token in enumerate(trained_ids())}
