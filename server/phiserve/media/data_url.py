"""`data:` URLs -> bytes (RFC 2397, base64 only).

The media type is not believed: `codecs` looks at the content.
"""

import binascii
import re

import pybase64

from phiserve.errors import ForbiddenUrl, InvalidImage
from phiserve.media.byte_limit import too_many_bytes

_HEADER = re.compile(r"data:(?P<type>[^;,]*)(?:;[^;,]*)*?;base64,", re.IGNORECASE)
_WHITESPACE = str.maketrans("", "", " \t\r\n")


def decode_data_url(url: str, *, max_bytes: int) -> bytes:
    """The bytes that a `data:` URL holds.

    Raises ForbiddenUrl for another kind of URL, InvalidImage for bad base64, an empty body or more than
    `max_bytes`.
    """
    header = _HEADER.match(url, 0, 512)
    if header is None:
        raise ForbiddenUrl("a data URL must read data:image/…;base64,…")
    body = url[header.end() :]
    if len(body) // 4 * 3 > max_bytes + 2:
        raise too_many_bytes(max_bytes)
    content = _decode_base64(body)
    if not content:
        raise InvalidImage("the image is empty")
    if len(content) > max_bytes:
        raise too_many_bytes(max_bytes)
    return content


def _decode_base64(body: str) -> bytes:
    try:
        return pybase64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        pass
    try:  # wrapped lines are common; nothing else is forgiven
        return pybase64.b64decode(body.translate(_WHITESPACE), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidImage("the base64 of the data URL is not valid") from None
