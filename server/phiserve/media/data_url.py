"""`data:` URLs -> bytes (RFC 2397, base64 only). The media type is not believed: the content is sniffed
later.
"""

import binascii
import re

import pybase64

from phiserve.errors import InvalidImage
from phiserve.media.url_gate import ForbiddenUrl
from phiserve.vision.limits import too_many_bytes

_HEADER = re.compile(r"data:(?P<type>[^;,]*)(?:;[^;,]*)*?;base64,", re.IGNORECASE)
_WHITESPACE = str.maketrans("", "", " \t\r\n")


def decode_data_url(url: str, *, max_bytes: int, param: str) -> bytes:
    """The bytes a `data:` URL holds.

    Raises ForbiddenUrl for another kind of URL, InvalidImage for bad base64, an empty body or more than
    `max_bytes`.
    """
    header = _HEADER.match(url, 0, 512)
    if header is None:
        raise ForbiddenUrl("a data URL must read data:image/…;base64,…", param=param)
    body = url[header.end() :]
    if len(body) // 4 * 3 > max_bytes + 2:
        raise too_many_bytes(param, max_bytes)
    content = _decode_base64(body, param)
    if not content:
        raise InvalidImage("the image is empty", param=param)
    if len(content) > max_bytes:
        raise too_many_bytes(param, max_bytes)
    return content


def _decode_base64(body: str, param: str) -> bytes:
    try:
        return pybase64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        pass
    try:  # wrapped lines are common; nothing else is forgiven
        return pybase64.b64decode(body.translate(_WHITESPACE), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidImage("the base64 of the data URL is not valid", param=param) from None
