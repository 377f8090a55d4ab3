"""Token id -> the bytes it stands for in text, from tokenizer.json."""

import json
import re
from pathlib import Path

from phiserve.chat.special_tokens import ADDED_TOKENS

_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")


class Vocabulary:
    """Bytes of every token: pieces with their space, byte pieces as one byte, control tokens as they are
    spelled.
    """

    def __init__(self, pieces: dict[str, int]) -> None:
        self._bytes = {token_id: _piece_bytes(piece) for piece, token_id in pieces.items()}
        self._bytes.update({token_id: content.encode() for token_id, content in ADDED_TOKENS.items()})

    @classmethod
    def load(cls, tokenizer_json: Path) -> "Vocabulary":
        """Read the pieces of `tokenizer.json`. Raises OSError if it cannot be read."""
        return cls(json.loads(tokenizer_json.read_text(encoding="utf-8"))["model"]["vocab"])

    def bytes_of(self, token_id: int) -> bytes:
        """Bytes of one token; nothing for the ids that have no token."""
        return self._bytes.get(token_id, b"")


def _piece_bytes(piece: str) -> bytes:
    if match := _BYTE_PIECE.fullmatch(piece):
        return bytes([int(match[1], 16)])
    return piece.replace("\u2581", " ").encode()
