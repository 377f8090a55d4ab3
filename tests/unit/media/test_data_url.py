"""Data URLs are decoded as browsers decode them, and within their limit."""

import base64
from urllib.parse import quote

import pytest

from phiserve.errors import ForbiddenUrl, InvalidImage, InvalidRequest
from phiserve.media.data_url import decode_data_url

CONTENT = bytes(range(256))
BODY = base64.b64encode(CONTENT).decode()
WRAPPED = "\n".join(BODY[start : start + 76] for start in range(0, len(BODY), 76))
BASE64 = "data:image/png;base64,"

BROWSERS = {
    "abcd": [105, 183, 29],
    " \t\n\f\r ab\t\n\f\r cd\t\n\f\r ": [105, 183, 29],
    "ab\t\n\f\r =\t\n\f\r =\t\n\f\r ": [105],
    "ab": [105],
    "ab==": [105],
    "abc": [105, 183],
    "abc=": [105, 183],
    "/A": [252],
    "AAA/": [0, 0, 63],
    "W%20A": [88],
    "W%0CA": [88],
    "%2F%2f%2FA%3D%3d": None,
    "%2F%2fA%3D": [255, 240],
    "%61%62": [105],
    "%2561b": None,
    "a%b": None,
    "%": None,
    "ab%3": None,
    "abcde": None,
    "abcd===": None,
    "abcd==": None,
    "abcd=": None,
    "ab=": None,
    "a===": None,
    "=": None,
    "====": None,
    "ab=c": None,
    "a=b=": None,
    "ab\u00a0cd": None,
    "\U00010000": None,
    "abcd\0nonsense": None,
    "AA-_": None,
}
"""What browsers make of base64: bytes, or an error.

Most are from web-platform-tests, fetch/data-urls; Node 20's `fetch` agrees with all.
"""


@pytest.mark.parametrize(
    "url",
    [
        BASE64 + BODY,
        f"DATA:image/PNG;BASE64,{BODY}",
        f"data:;base64,{BODY}",
        f"data:image/png;name=a.png;base64,{BODY}",
        f"data:x/x;base64;charset=x;base64,{BODY}",
        BASE64 + WRAPPED,
        f"\n data:image/png; base64 ,\r\n{BODY}\n",
        BASE64 + BODY + "#behind",
        BASE64 + BODY.rstrip("="),
        BASE64 + quote(BODY, safe=""),
        BASE64 + quote(WRAPPED, safe="").replace("%2F", "%2f").rstrip("%3D"),
        BASE64 + "".join(f"%{ord(sign):02x}" for sign in BODY),
    ],
)
def test_accepted(url: str) -> None:
    """Any media type and parameters, either case, white space, percent signs, no padding, fragments."""
    assert decode_data_url(url, max_bytes=256) == CONTENT


@pytest.mark.parametrize(("body", "expected"), BROWSERS.items())
def test_base64_is_read_as_browsers_read_it(body: str, expected: list[int] | None) -> None:
    """Forgiving where they are, and no further."""
    if expected is None:
        with pytest.raises(InvalidImage, match=r"^the base64 of the data URL is "):
            decode_data_url(BASE64 + body, max_bytes=100)
    else:
        assert [*decode_data_url(BASE64 + body, max_bytes=100)] == expected


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("data:image/png,plain-text", ForbiddenUrl),
        ("data:x/x;base64;charset=x,plain-text", ForbiddenUrl),
        ("data:image/png#;base64,plain-text", ForbiddenUrl),
        ("data:" + "x" * 600 + ";base64,plain-text", ForbiddenUrl),
        ("data:", ForbiddenUrl),
        ("data:image/png;base64,", InvalidImage),
        ("data:image/png;base64,#plain-text", InvalidImage),
        ("data:image/png;base64,AB*=", InvalidImage),
        (f"data:image/png;base64,{BODY}é", InvalidImage),
        (f"data:image/png;base64,{BODY}{BODY}", InvalidImage),
    ],
)
def test_refused(url: str, error: type[InvalidRequest]) -> None:
    """Other encodings, bad base64, nothing, too much: a 400 that does not repeat the URL."""
    with pytest.raises(error) as caught:
        decode_data_url(url, max_bytes=256)
    assert caught.value.status == 400
    assert "plain-text" not in caught.value.message


def test_the_url_safe_alphabet_is_told() -> None:
    """Browsers refuse it; here the refusal says what is wrong."""
    body = base64.urlsafe_b64encode(CONTENT).decode()
    for url in (BASE64 + body, BASE64 + body.rstrip("="), BASE64 + body + "\n"):
        with pytest.raises(InvalidImage, match=r"URL-safe alphabet \(- and _\)"):
            decode_data_url(url, max_bytes=256)


@pytest.mark.parametrize("body", [BODY, BODY.rstrip("="), WRAPPED, quote(WRAPPED, safe="")])
def test_limit_is_exact(body: str) -> None:
    """As many bytes as the limit are fine, one more is not, however they are written."""
    assert len(decode_data_url(BASE64 + body, max_bytes=256)) == 256
    with pytest.raises(InvalidImage, match="max_image_bytes"):
        decode_data_url(BASE64 + body, max_bytes=255)


def test_the_limit_is_held_before_anything_is_decoded() -> None:
    """What is too long is not looked at: it may be no base64 at all."""
    for body in ("?" * 1000, "? \n" * 1000, "%3F" * 1000):
        with pytest.raises(InvalidImage, match="max_image_bytes"):
            decode_data_url(BASE64 + body, max_bytes=500)


def test_long_bodies_with_percent_signs() -> None:
    """They are worked through in parts, none of which cuts a sign in two."""
    content = bytes(2**20)
    for before in range(3):
        body = " " * before + base64.b64encode(content).decode().replace("A", "%41")
        assert decode_data_url(BASE64 + body, max_bytes=2**20) == content
