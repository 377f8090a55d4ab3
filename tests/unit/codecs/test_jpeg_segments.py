"""JPEG's segments and scans: numbers without meaning do not matter, and floods are refused."""

import re

import numpy as np
import pytest
import simplejpeg

from hostile import flat_jpeg_of_three_scans, jpeg_segment, progressive_jpeg
from images import encode, photo, shown
from jpegs import PHOTO, PROGRESSIVE, by_pillow, components
from phiserve.codecs.jpeg import take_apart
from phiserve.codecs.jpeg_segments import MAX_SCANS, MAX_SEGMENTS
from phiserve.errors import InvalidImage


@pytest.mark.parametrize("kind", ["grey", "colours", "inks", "a scan for each"])
@pytest.mark.parametrize(
    "end", [b"\0\0\0", b"\0\x3e\0", b"\1\x3f\0", b"\0\x3f\1", b"\0\x3f\x10", b"\xff\xff\xff"]
)
def test_numbers_that_only_progressive_scans_need(kind: str, end: bytes) -> None:
    """Some encoders write any in other scans, Se = 0 above all. They say nothing there, and libjpeg only
    warns.
    """
    content = {
        "grey": encode(photo("page"), "JPEG"),
        "colours": PHOTO,
        "inks": encode(photo("coffee").convert("CMYK"), "JPEG"),
        "a scan for each": flat_jpeg_of_three_scans((50, 40)),
    }[kind]
    head = re.compile(rb"(\xff\xda\0..+?)\0\x3f\0", re.DOTALL)
    odd = head.sub(lambda found: found[1] + end, content)
    assert np.array_equal(components(odd), np.asarray(by_pillow(content)))
    with pytest.raises(ValueError, match="Invalid SOS parameters"):
        simplejpeg.decode_jpeg(odd, "CMYK" if kind == "inks" else "RGB", strict=True)


def test_progressive_scans_keep_their_numbers() -> None:
    """There they say which frequencies come."""
    content = progressive_jpeg((64, 64), 3)
    assert b"".join(take_apart(content).scans) == content[content.index(b"\xff\xda") :]


def test_floods_of_scans_are_refused() -> None:
    """A few bytes each, at the cost of all pixels; counted to the end of the image, not in what follows."""
    assert shown(PROGRESSIVE + progressive_jpeg((8, 8), 100)).size == photo("china").size
    assert shown(progressive_jpeg((8, 8), 1, progression=0)).size == (8, 8)
    with pytest.raises(InvalidImage, match=f"has more than {MAX_SCANS} JPEG scans"):
        take_apart(progressive_jpeg((8, 8), MAX_SCANS))


def test_floods_of_segments_are_refused() -> None:
    """Before the first scan and between scans."""
    flood = jpeg_segment(0xE1) * MAX_SEGMENTS
    for content in (PHOTO[:2] + flood + PHOTO[2:], PHOTO[:-2] + flood + PHOTO[-2:]):
        with pytest.raises(InvalidImage, match=f"has more than {MAX_SEGMENTS} JPEG segments"):
            take_apart(content)
