"""How many digits in a row the numbers of a JSON answer have, which no schema and no grammar of ours bounds.

llguidance lets a number go on for ever wherever its schema does not say how large it is, and its decimals
even then. So digits are counted where masks are made: `plugin.structured_output` leaves out more of them.
"""

from typing import NamedTuple

from phiserve.constraints.lark import is_of_schema
from phiserve.constraints.tool_calls import OPENING, is_of_calls

MAX_DIGITS = 25
"""Before the point, and after it: a double needs 17, an integer of 64 bits 20."""

MAX_EXPONENT_DIGITS = 3

_DIGITS = frozenset(b"0123456789")
_QUOTE, _BACKSLASH = b'"\\'
_EXPONENT, _SIGNS, _SPACE = frozenset(b"eE"), frozenset(b"+-"), b" "


def json_opening(grammar: str) -> bytes | None:
    """What an answer begins with that is JSON from there on; None where none is, as far as is known."""
    if is_of_schema(grammar):
        return b""
    return OPENING.encode() if is_of_calls(grammar) else None


class _Place(NamedTuple):
    """Where an answer is: `head` is how it began until that is decided, then None; False: it is not JSON."""

    head: bytes | bool | None
    in_string: bool = False
    is_escaped: bool = False
    run: int = 0
    most: int = MAX_DIGITS


class DigitCount:
    """Counts the digits at the end of an answer, outside of strings: `feed` each token's text."""

    def __init__(self, opening: bytes) -> None:
        self._opening = opening
        self._places = [_Place(b"" if opening else None)]

    @property
    def is_full(self) -> bool:
        """Whether there are so many that no more may follow."""
        place = self._places[-1]
        return place.run >= place.most

    def feed(self, text: bytes) -> None:
        """Go on by a token's text."""
        place = self._places[-1]
        for code in text:
            place = self._next(place, code)
        self._places.append(place)

    def rollback(self, num_tokens: int) -> None:
        """Go back by tokens."""
        del self._places[len(self._places) - num_tokens :]

    def reset(self) -> None:
        """Go back to the start."""
        del self._places[1:]

    def _next(self, place: _Place, code: int) -> _Place:
        if place.head is False:
            return place
        if isinstance(place.head, bytes):
            return self._begun(place.head + bytes([code]))
        if place.in_string:
            ends = code == _QUOTE and not place.is_escaped
            return _Place(None, not ends, code == _BACKSLASH and not place.is_escaped)
        if code in _DIGITS:
            return place._replace(run=place.run + 1)
        if code in _EXPONENT:
            return _Place(None, most=MAX_EXPONENT_DIGITS)
        return place if code in _SIGNS else _Place(None, in_string=code == _QUOTE)

    def _begun(self, head: bytes) -> _Place:
        begun = head.lstrip(_SPACE)
        if begun == self._opening:
            return _Place(None)
        return _Place(head if self._opening.startswith(begun) else False)
