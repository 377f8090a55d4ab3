"""Patterns with look-ahead that generators of schemas write, and what stands for them without.

The grammar library has none. All texts that match what stands for a pattern match the pattern.
"""

import re
from collections.abc import Mapping

HOSTNAME = (
    r"^(?=.{1,253}\.?$)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[-0-9a-zA-Z]{0,61}[0-9a-zA-Z])?)*\.?$"
)

WITHOUT_LOOK_AHEAD = {
    # `email` of zod 4 before 4.6
    r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$": (
        r"^(?:[A-Za-z0-9_'+\-]+\.)*[A-Za-z0-9_'+\-]*[A-Za-z0-9_+-]@(?:[A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"
    ),
    # `duration` of zod 4
    r"^P(?:(\d+W)|(?!.*W)(?=\d|T\d)(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?)$": (
        r"^P(?:\d+W|(?:\d+Y(?:\d+M)?(?:\d+D)?|\d+M(?:\d+D)?|\d+D)?T(?:\d+H(?:\d+M)?(?:\d+(?:[.,]\d+)?S)?"
        r"|\d+M(?:\d+(?:[.,]\d+)?S)?|\d+(?:[.,]\d+)?S)|\d+Y(?:\d+M)?(?:\d+D)?|\d+M(?:\d+D)?|\d+D)$"
    ),
    # `hostname` of zod 4; `MAX_LENGTHS` bounds it
    HOSTNAME: HOSTNAME.replace(r"(?=.{1,253}\.?$)", ""),
}
"""zod's, by the pattern as it writes it."""

MAX_LENGTHS: Mapping[str, int] = {HOSTNAME: 253}
"""Longest text of a pattern whose look-ahead bounds it. One of 254 with a point at its end is left out."""

MAX_DIGITS = 50
"""Highest `max_digits` of a decimal number without `decimal_places`: each is an alternative."""

_DECIMAL = r"^(?!^[-+.]*$)[+-]?0*"
"""How pydantic before 2.14 begins the pattern of a `Decimal`, to which only numbers are to be added."""

_ANY = re.compile(r"\\d\*\\\.\?\\d\*\$")
_PLACES = re.compile(r"\\d\*\\\.\?\\d\{0,(\d{1,3})\}0\*\$")
_DIGITS = re.compile(r"\(\?:\\d\{0,(\d{1,3})\}\|\(\?=\[\\d\.\]\{1,(\d{1,3})\}0\*\$\)\\d\*\\\.\\d\*0\*\$\)")
_BOTH = re.compile(
    r"\(\?:\\d\{0,(\d{1,3})\}\|\(\?=\[\\d\.\]\{1,(\d{1,3})\}0\*\$\)\\d\{0,\1\}\\\.\\d\{0,(\d{1,3})\}0\*\$\)"
)
"""What follows: for any number, one of so many decimal places, of so many digits, and of both."""


def without_look_ahead(pattern: str) -> str:
    """A pattern as it is, or what stands for it."""
    return WITHOUT_LOOK_AHEAD.get(pattern) or _decimal(pattern) or pattern


def _decimal(pattern: str) -> str | None:
    """What stands for pydantic's pattern of a decimal number; None for any other.

    Those of `max_digits` are open at their end, so that texts match that only begin with a number. What
    stands for them is closed.
    """
    if not pattern.startswith(_DECIMAL):
        return None
    rest = pattern.removeprefix(_DECIMAL).replace("[0-9.]", r"[\d.]").replace("[0-9]", r"\d")
    if _ANY.fullmatch(rest):
        return _either(r"\d+(?:\.\d*)?", r"\.\d+")
    if found := _PLACES.fullmatch(rest):
        places = int(found[1])
        return _either(rf"\d+(?:\.{_up_to(places)})?", rf"\.{_one_up_to(places)}")
    if found := _BOTH.fullmatch(rest):
        whole, places = int(found[1]), min(int(found[2]) - 1, int(found[3]))
        before = rf"0*\d{{1,{whole}}}" if whole else "0+"
        return _either(rf"{before}(?:\.{_up_to(places)})?", rf"\.{_one_up_to(places)}")
    if (found := _DIGITS.fullmatch(rest)) and 0 < (most := int(found[1])) <= MAX_DIGITS:
        split = (rf"0*\d{{{whole}}}\.{_one_up_to(most - whole)}" for whole in range(most))
        return _either(rf"0*\d{{1,{most}}}(?:\.0*)?", *split)
    return None


def _either(*numbers: str) -> str:
    return f"^[+-]?(?:{'|'.join(numbers)})$"


def _up_to(places: int) -> str:
    """Decimal places, of which zeros at the end do not count."""
    return rf"\d{{0,{places}}}0*" if places else "0*"


def _one_up_to(places: int) -> str:
    """The same, at least one of them."""
    return rf"\d{{1,{places}}}0*" if places else "0+"
