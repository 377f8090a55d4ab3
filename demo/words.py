"""Words and numbers to draw, and which of them training never sees."""

import random
import re
import string
import zlib
from functools import lru_cache

CHART_LABELS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    *("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Q1", "Q2", "Q3", "Q4"),
    *(
        "A",
        "B",
        "C",
        "D",
        "E",
        "F",
        "North",
        "South",
        "East",
        "West",
        "Tea",
        "Milk",
        "Rice",
        "Salt",
        "Corn",
        "Fish",
    ),
    *(
        "Red",
        "Blue",
        "Green",
        "Cats",
        "Dogs",
        "Birds",
        "Paris",
        "Rome",
        "Oslo",
        "Tokyo",
        "Cars",
        "Bikes",
        "Apple",
        "Plum",
        "Pear",
        "Fig",
    ),
)
"""Labels of bars that questions may name ("What is the value of May?"). Years are others."""


def is_held_out(word: str) -> bool:
    """Whether a word is kept from training: every tenth, by its checksum, however it is capitalised."""
    return zlib.crc32(word.lower().encode()) % 10 == 0


@lru_cache(maxsize=1)
def _token_words() -> tuple[str, ...]:
    """Lower-case words of 3 to 8 letters among the tokenizer's tokens: English mostly, other languages
    too.
    """
    from phiserve.checkpoint.tokenizer_files import ordinary_tokens

    words = {token.removeprefix("\u2581") for token in ordinary_tokens() if token.startswith("\u2581")}
    return tuple(sorted(word for word in words if re.fullmatch("[a-z]{3,8}", word)))


@lru_cache(maxsize=2)
def vocabulary(held_out: bool) -> tuple[str, ...]:
    """The words of training, or those kept from it."""
    return tuple(word for word in _token_words() if is_held_out(word) is held_out)


def draw_word(rng: random.Random, held_out: bool, shortest: int = 3, longest: int = 8) -> str:
    """A lower-case word, in four of ten cases random letters; of those of the right side and length."""
    while True:
        if rng.random() < 0.4:
            word = "".join(rng.choices(string.ascii_lowercase, k=rng.randint(shortest, longest)))
            while is_held_out(word) is not held_out:
                word = "".join(rng.choices(string.ascii_lowercase, k=len(word)))
        else:
            word = rng.choice(vocabulary(held_out))
        if shortest <= len(word) <= longest:
            return word
