"""Reads the golden vectors, and turns the reference's prompt strings back into conversations."""

import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from phiserve.core import Conversation, ImagePlaceholder, Part, Role, Turn

_TURN = re.compile(r"<\|(system|user|assistant)\|>\n(.*?)<\|end\|>\n", re.S)
_TAG = re.compile(r"<\|image_(\d+)\|>")


@dataclass(frozen=True)
class TranslationVector:
    """One line of translation.jsonl: a prompt string, image sizes as (width, height), and the reference's
    ids.
    """

    prompt: str
    max_crops: int
    sizes: tuple[tuple[int, int], ...]
    ids: tuple[int, ...]


def read_translation(path: Path) -> list[TranslationVector]:
    """All lines; the ids expanded, image k's tokens as -k."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        TranslationVector(
            prompt=row["prompt"],
            max_crops=row["num_crops"],
            sizes=tuple((w, h) for w, h in row["image_sizes"]),
            ids=tuple(itertools.chain.from_iterable([value] * count for value, count in row["ids_rle"])),
        )
        for row in rows
    ]


def conversation_of(prompt: str) -> Conversation:
    """Parse a prompt string of the reference's chat template; fails on anything else."""
    assert prompt.endswith("<|assistant|>\n")
    body = prompt.removesuffix("<|assistant|>\n")
    turns = [Turn(cast(Role, match[1]), _parts(match[2])) for match in _TURN.finditer(body)]
    assert "".join(match[0] for match in _TURN.finditer(body)) == body
    return Conversation(tuple(turns))


def _parts(text: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    for index, split in enumerate(_TAG.split(text)):
        if index % 2:
            parts.append(ImagePlaceholder(url="", detail="high", param=f"image_{split}"))
        elif split:
            parts.append(split)
    return tuple(parts)
