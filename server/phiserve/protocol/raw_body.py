"""What a body's bytes tell before it is decoded: whether it holds too much, and whether that is quick."""

import numpy as np

MAX_VALUES = 100_000
"""JSON values of one body.

10,000 messages of one text part each, beside the largest schema that is taken, have fewer. An empty list or
object counts as two.
"""

MAX_LISTED_VALUES = 1_000_000
"""The same of a body one of whose fields holds token ids: 64 prompts of 15,000, or 7 of a whole context."""

_SHORT_BODY, _LONG_BODY = 16 * 2**10, 256 * 2**10
_FEW = 512
_SEPARATORS = (b",", b"[", b"{")
_CHUNK_BYTES = 256 * 2**10
"""Long bodies are searched by such chunks, between which other threads may run."""


def decodes_quickly(body: bytes) -> bool:
    """Whether a body is short, or long for a few strings alone, as images are."""
    return len(body) <= _SHORT_BODY or (
        len(body) <= _LONG_BODY and _has_few(body, b'"') and _has_few(body, b",")
    )


def _has_few(body: bytes, character: bytes) -> bool:
    """Whether `character` occurs fewer than `_FEW` times.

    `find` skips to the next one; `count` would look at every byte.
    """
    offset = -1
    for _ in range(_FEW):
        offset = body.find(character, offset + 1)
        if offset < 0:
            return True
    return False


def holds_too_many_values(body: bytes, most: int = MAX_VALUES) -> bool:
    """Whether more than `most` values are within a body, as its commas and opening brackets tell.

    Cheapest first: long bodies that show images have few commas, and the decoder refuses what is nested in
    more than 200 levels, so that few commas mean few brackets.
    """
    if len(body) <= 2 * most or _has_few(body, b","):
        return False
    starts = range(0, len(body), _CHUNK_BYTES)
    all_separators = sum(
        body.count(mark, start, start + _CHUNK_BYTES) for start in starts for mark in _SEPARATORS
    )
    return all_separators >= most and _holds_separators_outside_strings(body, most)


def _holds_separators_outside_strings(body: bytes, most: int) -> bool:
    """Whether so many commas and opening brackets are not within strings."""
    in_string, carried, found = 0, b"", 0
    for start in range(0, len(body), _CHUNK_BYTES):
        chunk = carried + body[start : start + _CHUNK_BYTES]
        # Escapes are two characters, of which the first of a chunk may be the last of the one before.
        plain = chunk.replace(rb"\\", b"  ").replace(rb"\"", b"  ")
        carried = b"\\" if plain.endswith(b"\\") else b""
        codes = np.frombuffer(plain.removesuffix(b"\\"), np.uint8)
        is_quote = codes == ord('"')
        # The number of quotes so far, of which only the last bit counts.
        is_outside = ((np.cumsum(is_quote, dtype=np.uint8) + in_string) & 1) == 0
        found += sum(int(np.count_nonzero(is_outside & (codes == ord(mark)))) for mark in _SEPARATORS)
        if found >= most:
            return True
        in_string = (in_string + int(np.count_nonzero(is_quote))) & 1
    return False
