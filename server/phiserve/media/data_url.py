"""`data:` URLs -> bytes, as browsers take them, base64 only.

The media type is not believed: `codecs` looks at the content. Source: WHATWG, Fetch ("data: URL processor"),
Infra ("forgiving-base64 decode") and URL.
"""

import re

import numpy as np
import pybase64

from phiserve.errors import ForbiddenUrl, InvalidImage
from phiserve.media.byte_limit import too_many_bytes

_HEADER = re.compile(r"[\0-\x20]*data:[^,#]*?;\s*base64\s*,", re.IGNORECASE | re.ASCII)
_MAX_HEADER_CHARACTERS = 512

_WHITE_SPACE = b" \t\n\f\r"
_PERCENT = ord("%")
_NO_DIGIT = 16
_DIGITS = np.full(256, _NO_DIGIT, np.uint8)
"""The value of each hexadecimal digit by its code."""
for _digit in "0123456789abcdefABCDEF":
    _DIGITS[ord(_digit)] = int(_digit, 16)

_STEP = 2**20
"""Bytes that are freed of percent signs at a time, so that little memory is taken besides."""

_URL_SAFE = re.compile(rb"[A-Za-z0-9]*[_-][A-Za-z0-9_-]*={0,2}")


def decode_data_url(url: str, *, max_bytes: int, noun: str = "image") -> bytes:
    """The bytes that a `data:` URL holds; `noun` is what errors call it.

    As in browsers, base64 may be wrapped, left without its padding and written with percent signs; what comes
    behind a `#` does not count. The URL-safe alphabet (`-` and `_`) is refused, as it is there.
    Raises ForbiddenUrl for another kind of URL, InvalidImage for bad base64, an empty body or more than
    `max_bytes`, which are counted before anything is decoded.
    """
    header = _HEADER.match(url, 0, _MAX_HEADER_CHARACTERS)
    if header is None:
        raise ForbiddenUrl("a data URL must read data:image/…;base64,…")
    body = url[header.end() :]
    content = _decode_plain(body, max_bytes)
    if content is None:
        content = _decode_forgivingly(_as_octets(body), max_bytes)
    if not content:
        raise InvalidImage(f"the {noun} is empty")
    return content


def _decode_plain(body: str, max_bytes: int) -> bytes | None:
    """The content of base64 of the usual form, or None if it has another one or may be beyond the limit."""
    num_characters = len(body) - body.count("=", -2)
    if num_characters * 3 // 4 > max_bytes:
        return None
    try:
        return pybase64.b64decode(body, validate=True)
    except ValueError:
        return None


def _as_octets(body: str) -> bytes:
    """What a URL's body stands for, percent signs resolved. Raises InvalidImage unless it is ASCII."""
    try:
        octets = body.partition("#")[0].encode("ascii")
    except UnicodeEncodeError:
        raise _invalid() from None
    return _without_percent_signs(octets) if b"%" in octets else octets


def _decode_forgivingly(octets: bytes, max_bytes: int) -> bytes:
    """Infra's forgiving decoding: white space does not count, and padding need not be there.

    Raises InvalidImage.
    """
    digits = octets.translate(None, _WHITE_SPACE)
    if len(digits) % 4 == 0:
        digits = digits[:-2] + digits[-2:].rstrip(b"=") if digits.endswith(b"=") else digits
    if len(digits) * 3 // 4 > max_bytes:
        raise too_many_bytes(max_bytes)
    if len(digits) % 4 == 1 or b"=" in digits:
        raise _invalid(digits)
    try:
        return pybase64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except ValueError:
        raise _invalid(digits) from None


def _without_percent_signs(octets: bytes) -> bytes:
    """`octets` with every `%` and two hexadecimal digits replaced by what they stand for; others stay."""
    parts = []
    start = 0
    while start < len(octets):
        end = min(start + _STEP, len(octets))
        cut = octets.find(b"%", end - 2, end)  # of an escape that may go on behind the end
        if end < len(octets) and cut >= 0:
            end = cut
        parts.append(_resolved(np.frombuffer(octets, np.uint8, end - start, start)))
        start = end
    return b"".join(parts)


def _resolved(codes: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> bytes:
    """One part of `_without_percent_signs`, in which no escape is cut in two."""
    signs = np.flatnonzero(codes[:-2] == _PERCENT)
    high, low = _DIGITS[codes[signs + 1]], _DIGITS[codes[signs + 2]]
    is_escape = (high | low) < _NO_DIGIT
    signs = signs[is_escape]
    resolved = codes.copy()
    resolved[signs] = (high << 4 | low)[is_escape]
    stays = np.ones(len(codes), np.bool_)
    stays[signs + 1] = stays[signs + 2] = False
    return resolved[stays].tobytes()


def _invalid(digits: bytes = b"") -> InvalidImage:
    """The error for base64 that can't be decoded; `digits` is what it looked like without white space."""
    if _URL_SAFE.fullmatch(digits):
        return InvalidImage(
            "the base64 of the data URL is in the URL-safe alphabet (- and _); "
            "data URLs take the standard one (+ and /)"
        )
    return InvalidImage("the base64 of the data URL is not valid")
