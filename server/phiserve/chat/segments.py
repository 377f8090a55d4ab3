"""Token ids -> segments of one kind each, for people who want to see the prompt as the model does."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from phiserve.chat.special_tokens import ADDED_TOKENS
from phiserve.chat.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Segment:
    """A control token, a text or an image in a prompt.

    `offset` is the index of its first id. `text` is what the ids stand for; an image's is empty.
    """

    kind: Literal["control", "text", "image"]
    offset: int
    token_ids: tuple[int, ...]
    text: str


def split_segments(
    ids: Sequence[int], images: Mapping[int, int], vocabulary: Vocabulary
) -> Iterator[Segment]:
    """Split a prompt's ids into segments, in order.

    `images` maps the offset of each image's first id to the number of its ids.
    """
    offset = 0
    while offset < len(ids):
        count = images.get(offset)
        if count is not None:
            yield Segment("image", offset, tuple(ids[offset : offset + count]), "")
        elif ids[offset] in ADDED_TOKENS:
            count = 1
            yield Segment("control", offset, (ids[offset],), ADDED_TOKENS[ids[offset]])
        else:
            run = tuple(next(groupby(ids[offset:], ADDED_TOKENS.__contains__))[1])
            count = len(run)
            text = b"".join(map(vocabulary.bytes_of, run)).decode("utf-8", "replace")
            yield Segment("text", offset, run, text)
        offset += count
