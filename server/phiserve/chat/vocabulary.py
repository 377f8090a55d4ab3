"""Token id -> the bytes it stands for in text, from tokenizer.json."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from phiserve.chat.special_tokens import ADDED_TOKENS

_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


class Vocabulary:
    """The bytes that each token stands for.

    Ordinary tokens stand for their text with its space, byte tokens for one byte, control tokens for their
    spelling.
    """

    def __init__(self, tokens: dict[str, int]) -> None:
        self._bytes = {token_id: _token_bytes(token) for token, token_id in tokens.items()}
        self._bytes.update({token_id: content.encode() for token_id, content in ADDED_TOKENS.items()})

    @classmethod
    def load(cls, tokenizer_json: Path) -> "Vocabulary":
        """Read the tokens of `tokenizer.json`. Raises OSError if it cannot be read."""
        return cls(json.loads(tokenizer_json.read_text(encoding="utf-8"))["model"]["vocab"])

    def bytes_of(self, token_id: int) -> bytes:
        """Bytes of one token; nothing for the ids that have no token."""
        return self._bytes.get(token_id, b"")

    def text_of(self, ids: Iterable[int]) -> str:
        """The text of ids, as decoding gives it: without control tokens and the first prefix space."""
        ordinary = (self.bytes_of(token_id) for token_id in ids if token_id not in ADDED_TOKENS)
        return b"".join(ordinary).decode("utf-8", "replace").removeprefix(" ")


def _token_bytes(token: str) -> bytes:
    if match := _BYTE_TOKEN.fullmatch(token):
        return bytes([int(match[1], 16)])
    return token.replace("\u2581", " ").encode()
