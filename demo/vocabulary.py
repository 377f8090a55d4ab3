"""The tokens that are trained: all that questions and answers consist of. All others embed as zeros, as an
unknown word does.
"""

import string
from collections.abc import Iterator
from functools import lru_cache

from demo import (
    book,
    chart,
    lines,
    pairs,
    posed_pictures,
    posed_shapes,
    posed_texts,
    shapes,
    shop,
    talk,
)
from demo.language import encode_turns, encode_words, token_ids, user
from demo.lettered import encode_asked, encode_listed, labels
from demo.palette import COLOURS
from demo.posed import DESCRIBED, MOST_OPTIONS
from demo.words import CHART_LABELS
from phiserve.chat.special_tokens import Control
from phiserve.chat.tools import result_headings
from phiserve.core import Turn
from phiserve.decisions.questions import PREDICATE_OPTIONS, Option, Question

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
    return tuple(sorted({*ids_before_letters(), *_ids_of_letters()}))


def ids_of(rows: int) -> tuple[int, ...]:
    """Ids of a table of so many rows: as it is trained now, or as it was before letters were.

    Raises ValueError for any other.
    """
    for ids in (trained_ids(), ids_before_letters()):
        if len(ids) == rows:
            return ids
    raise ValueError(f"No stage of training has had a table of {rows} tokens")


def _ids_of_letters() -> set[int]:
    """Of questions that are answered in letters, of the texts that they are about, and of the letters."""
    ids = {*labels().ids[:MOST_OPTIONS]}
    for text in posed_texts.every_text():
        ids |= {*encode_turns((user(text),))[0]}
    for module in (posed_pictures, posed_shapes, posed_texts):
        for wording in module.every_wording():
            for worded in (wording, wording.rstrip("?.!"), wording[0].lower() + wording[1:]):
                ids |= {*encode_asked(("\n\n" + worded,))}
    for option in (*PREDICATE_OPTIONS, *posed_pictures.every_option(), *posed_shapes.every_option()):
        described = (Option(option, form.format(option)) for form in DESCRIBED)
        question = Question("choice", (), (Option(option), *described), "")
        ids |= {*encode_listed(question.listed((0, 1, 2, 3), labels().texts[:4]))}
    return ids


@lru_cache(maxsize=1)
def ids_before_letters() -> tuple[int, ...]:
    """Ids that were trained before any question was answered in letters, ascending."""
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
