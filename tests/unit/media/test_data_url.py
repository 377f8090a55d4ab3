"""Data URLs are decoded strictly and within their limit."""

import base64

import pytest

from phiserve.errors import ForbiddenUrl, InvalidImage, InvalidRequest
from phiserve.media.data_url import decode_data_url

BODY = base64.b64encode(bytes(range(256))).decode()


@pytest.mark.parametrize(
    "url",
    [
        f"data:image/png;base64,{BODY}",
        f"DATA:image/PNG;BASE64,{BODY}",
        f"data:;base64,{BODY}",
        f"data:image/png;name=a.png;base64,{BODY}",
        "data:image/png;base64," + "\n".join(BODY[i : i + 76] for i in range(0, len(BODY), 76)),
    ],
)
def test_accepted(url: str) -> None:
    """Any media type and parameters, either case, wrapped lines."""
    assert decode_data_url(url, max_bytes=1000) == bytes(range(256))


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("data:image/png,plain-text", ForbiddenUrl),
        ("data:", ForbiddenUrl),
        ("data:image/png;base64,", InvalidImage),
        ("data:image/png;base64,AB*=", InvalidImage),
        ("data:image/png;base64,ABC", InvalidImage),
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


def test_limit_is_exact() -> None:
    """As many bytes as the limit are fine, one more is not."""
    url = f"data:;base64,{BODY}"
    assert len(decode_data_url(url, max_bytes=256)) == 256
    with pytest.raises(InvalidImage):
        decode_data_url(url, max_bytes=255)
