"""Questions and answers as token ids: prompts exactly as the server encodes them, answers token by token.

What is read off a picture is answered character by character, so that each token of it has one place in the
picture.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal as TypingLiteral

from demo.scene import Answer, Copied, Literal, Seen, Written
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.joining import join_parts
from phiserve.chat.special_tokens import Control
from phiserve.checkpoint.tokenizer_files import ordinary_tokens, write_tokenizer
from phiserve.core import Conversation, ImagePlaceholder, Part, Turn

Place = tuple[float, float]

SPACE = "\u2581"
"""How the tokenizer writes a space."""


@dataclass(frozen=True, slots=True)
class Branch:
    """What follows the pictures of a prompt: the rest of it, the answer, and where in the picture each of the
    answer's tokens was read.
    """

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    places: tuple[Place | None, ...]


@lru_cache(maxsize=1)
def encoder() -> PromptEncoder:
    """The server's own prompt encoder."""
    with TemporaryDirectory() as folder:
        write_tokenizer(Path(folder))
        return PromptEncoder.load(Path(folder) / "tokenizer.json")


@lru_cache(maxsize=1)
def token_ids() -> dict[str, int]:
    """Ordinary tokens and their ids."""
    return ordinary_tokens()


@lru_cache(maxsize=65536)
def encode_turns(turns: tuple[Turn, ...]) -> tuple[tuple[int, ...], ...]:
    """Ids around the pictures of a conversation."""
    return tuple(map(tuple, encoder().encode(Conversation(turns)).segments))


Layout = TypingLiteral["pictures first", "question first", "labelled"]
"""How people put pictures and a question together; labelled: "Image 1:" before the first picture, and so
on."""


@lru_cache(maxsize=65536)
def user(question: str, *, pictures: int = 0, layout: Layout = "pictures first") -> Turn:
    """A user's turn: pictures and a question, with the newlines that the server puts between."""
    shown: list[Part] = []
    for number in range(1, pictures + 1):
        if layout == "labelled":
            shown.append(f"Image {number}:")
        shown.append(ImagePlaceholder(url="", detail="auto", param=""))
    asked = (question,) if question else ()
    parts = (*asked, *shown) if layout == "question first" else (*shown, *asked)
    return Turn("user", join_parts(parts))


def varied(question: str, rng: random.Random) -> str:
    """A question as it may be typed: now and then without its mark at the end, or without a capital."""
    if rng.random() < 0.1:
        question = question.rstrip("?.!")
    return question[0].lower() + question[1:] if rng.random() < 0.1 else question


def encode_answer(answer: Answer) -> tuple[tuple[int, ...], tuple[Place | None, ...]]:
    """Ids of an answer with its end, and the place each was read off."""
    ids: list[int] = []
    places: list[Place | None] = []
    for segment in answer:
        match segment:
            case Copied():
                ids += [token_ids()[SPACE if character == " " else character] for character in segment.text]
                places += [(glyph.x, glyph.y) if glyph else None for glyph in segment.glyphs]
            case Seen():
                words = encode_words(segment.text)
                ids += words
                places += [(segment.x, segment.y)] * len(words)
            case Literal():
                words = encode_words(segment.text)
                ids += words
                places += [None] * len(words)
            case Written():
                written = encoder().encode_text(f"a{segment.text}" if ids else segment.text)[bool(ids) :]
                ids += written
                places += [segment.place] * len(written)
    return (*ids, Control.END.value), (*places, None)


@lru_cache(maxsize=4096)
def encode_words(text: str) -> tuple[int, ...]:
    """Whole words where there is a token for them, else single characters."""
    ids: list[int] = []
    for word in re.findall(r" ?[A-Za-z]+|[^A-Za-z]", text):
        token = word.replace(" ", SPACE)
        ids += (
            [token_ids()[token]] if token in token_ids() else [token_ids()[character] for character in token]
        )
    return tuple(ids)


def branch(turns: Sequence[Turn], answer: Answer) -> Branch:
    """The last segment of a conversation with its answer."""
    ids, places = encode_answer(answer)
    return Branch(encode_turns(tuple(turns))[-1], ids, places)
