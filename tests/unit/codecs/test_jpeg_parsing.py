"""JPEG files are taken apart: size, colours, profile and orientation are found, and rare kinds refused.

Covers `jpeg` up to decoding.
"""

from itertools import product

import numpy as np
import pytest
import simplejpeg

from hostile import cmyk_profile, flat_jpeg, jpeg_segment
from images import encode, photo, shown
from jpegs import PHOTO, by_pillow, components
from phiserve.codecs import parse
from phiserve.codecs.jpeg import take_apart
from phiserve.errors import InvalidImage


@pytest.mark.parametrize(
    "segment",
    [
        jpeg_segment(0xE0, b"JFIF\0\2\1\0\0\1\0\1\0\0"),
        jpeg_segment(0xE0, b"JFIF\0\0\0\x09\0\0\0\0\0\0"),
        jpeg_segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1\xff\xff"),
        jpeg_segment(0xE0, b"JFIF\0"),
        jpeg_segment(0xE0, b"JFXX\0\x10?"),
        jpeg_segment(0xE0, b"AVI1\0\0"),
        jpeg_segment(0xE0),
        jpeg_segment(0xEE, b"Adobe\0\x64\0\0\0\0\1"),
        jpeg_segment(0xEE, b"Adobe\0\x64\0\0\0\0\2"),
        jpeg_segment(0xEE, b"Adobe\0\x64\0\0\0\0\xff"),
        jpeg_segment(0xEE, b"Adobe"),
        jpeg_segment(0xEE, b"Ducky\0\0\0\0\0\0\0\0"),
    ],
)
def test_odd_marks_of_colour(segment: bytes) -> None:
    """Other versions of JFIF, thumbnails that are missing, transformations that Adobe never named, too little
    of either.
    """
    bare = PHOTO.replace(PHOTO[2:20], b"")
    assert bare[:4] == b"\xff\xd8\xff\xdb"
    for content in (bare[:2] + segment + bare[2:], PHOTO[:20] + segment + PHOTO[20:]):
        assert np.array_equal(np.asarray(shown(content)), np.asarray(by_pillow(PHOTO)))


@pytest.mark.parametrize("transformation", [0, 1, 2, 9])
def test_marks_of_colour_still_count(transformation: int) -> None:
    """Adobe's says whether three components are RGB, and four inks or their luminance and colours; without it
    a rule does.
    """
    adobe = jpeg_segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes((transformation,)))
    inks = encode(photo("coffee").convert("CMYK"), "JPEG")
    mark = inks.index(b"\xff\xee")
    for bare in (PHOTO.replace(PHOTO[2:20], b""), inks[:mark] + inks[mark + 16 :]):
        for content in (bare, bare[:2] + adobe + bare[2:]):
            assert np.array_equal(components(content), np.asarray(by_pillow(content)))


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xd9",
        flat_jpeg((8, 8), [(1, 1)], scan=b"").partition(b"\xff\xda")[0] + b"\xff\xda\0\2",
        b"\xff\xd8" + jpeg_segment(0xE0, b"JFIF\0"),
        PHOTO[:2] + b"\xff\xfe\0\1" + PHOTO[2:],
        flat_jpeg((8, 8), [(1, 1)] * 2),
        b"\xff\xd8" + jpeg_segment(0xC0, b"\x08" + bytes(5)) + PHOTO[2:],
    ],
)
def test_what_is_no_image_is_refused(content: bytes) -> None:
    """No scan, half the head of one, no pixels, two components, two frames, an impossible length."""
    with pytest.raises(InvalidImage, match=r"^the image is damaged or incomplete$"):
        shown(content)


def test_no_pixels() -> None:
    """A side of length zero is named as the fault."""
    with pytest.raises(InvalidImage, match=r"^the image has no pixels$"):
        shown(flat_jpeg((0, 8), [(1, 1)]))


@pytest.mark.parametrize("changed", [b"\xff\xc3\0\x11\x08", b"\xff\xc5\0\x11\x08", b"\xff\xc1\0\x11\x0c"])
def test_rare_kinds_are_refused_as_such(changed: bytes) -> None:
    """Lossless, hierarchical and twelve-bit coding."""
    with pytest.raises(InvalidImage, match="is of a rare kind of JPEG"):
        take_apart(PHOTO.replace(b"\xff\xc0\0\x11\x08", changed))


def test_the_size_is_known_before_pixels() -> None:
    """A header of 65500 x 65500 costs nothing."""
    large = flat_jpeg((8, 8), [(1, 1)]).replace(b"\0\x08\0\x08", b"\xff\xdc\xff\xdc")
    assert parse(large).size == (65500, 65500)


FACTORS = [(across, down) for across in (1, 2, 3, 4) for down in (1, 2, 3, 4)]


@pytest.mark.parametrize("inks", [False, True], ids=["three", "four"])
def test_samplings_that_are_served_are_those_turbojpeg_knows(*, inks: bool) -> None:
    """Others could only be decoded by Pillow, which passes over damage. All that there are, as far as
    decoders take them.
    """
    for first, second, third in product(FACTORS, FACTORS[:6], FACTORS[:6]):
        for black in [first, second] if inks else [None]:
            sampling = [first, second, third, *([black] if black else [])]
            content = flat_jpeg((8, 8), sampling, scan=b"")
            assert is_served(content) == is_known(content), sampling


def is_served(content: bytes) -> bool:
    """Whether a file is not refused for its kind."""
    try:
        take_apart(content)
    except InvalidImage as refusal:
        return "unusually sampled" not in str(refusal)
    return True


def is_known(content: bytes) -> bool:
    """Whether TurboJPEG takes a file, as far as its header tells."""
    try:
        simplejpeg.decode_jpeg_header(content)
    except KeyError:  # simplejpeg has no name for 4:4:1, and decodes it
        return True
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("numbers", [(1, 2, 3), (3, 1, 2)])
def test_profiles_in_chunks(numbers: tuple[int, ...]) -> None:
    """They may come in any order, and not at all if one is missing."""
    profile = cmyk_profile()
    chunks = {
        number: profile[100 * (number - 1) : 100 * number if number < 3 else None] for number in numbers
    }
    segments = [
        jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes((number, 3)) + chunks[number]) for number in numbers
    ]
    assert take_apart(PHOTO[:2] + b"".join(segments) + PHOTO[2:]).profile == profile
    assert take_apart(PHOTO[:2] + b"".join(segments[1:]) + PHOTO[2:]).profile is None
    assert take_apart(PHOTO).profile is None


def test_the_first_exif_block_counts() -> None:
    """As in viewers; thousands of blocks are not put together."""
    turned = jpeg_segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0")
    content = PHOTO[:2] + turned + jpeg_segment(0xE1, b"Exif\0\0" + bytes(5000)) * 4000 + PHOTO[2:]
    assert take_apart(content).orientation == 6
    assert parse(content).size == photo("china").size[::-1]
