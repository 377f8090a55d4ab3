"""JPEG: pixels are Pillow's, what libjpeg only warns about is refused, and what is not the picture does not matter."""

import io
import random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hostile import flat_jpeg, jpeg_segment, progressive_jpeg
from phiserve.errors import InvalidImage
from phiserve.vision.decode import decode_rgb, read_header
from phiserve.vision.jpeg import MAX_ARITHMETIC_SCANS, MAX_SCANS, MAX_SEGMENTS, decode_jpeg, reduced_jpeg
from phiserve.vision.unreadable import Unreadable
from pictures import encode, noise, photo

PHOTO = encode(photo("china"), "JPEG")
PROGRESSIVE = encode(photo("china"), "JPEG", progressive=True)
OPTIONS: dict[str, dict[str, Any]] = {
    "4:2:0": {},
    "4:2:2": {"subsampling": 1},
    "4:4:4": {"subsampling": 0, "quality": 95},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 1},
    "restarts, progressive": {"restart_marker_rows": 1, "progressive": True},
    "RGB": {"keep_rgb": True},
    "worst": {"quality": 1},
    "optimised": {"optimize": True},
}


def by_pillow(content: bytes) -> Image.Image:
    """The picture as Pillow decodes it by itself."""
    with Image.open(io.BytesIO(content), formats=("JPEG",)) as picture:
        picture.load()
    return picture


def shown(content: bytes) -> Image.Image:
    """The picture as it is answered."""
    return decode_rgb(content, read_header(content, "image"), "image")


@pytest.mark.parametrize("name", ["china", "flower", "astronaut", "coffee", "rocket", "page"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_pixels_are_pillows(name: str, options: dict[str, Any]) -> None:
    """Both use libjpeg-turbo, and must go on agreeing to the last bit."""
    content = encode(photo(name), "JPEG", **options)
    assert np.array_equal(np.asarray(decode_jpeg(content)), np.asarray(by_pillow(content)))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 2}])
def test_inks_are_pillows(options: dict[str, Any]) -> None:
    """CMYK as Adobe writes it, which is upside down."""
    content = encode(photo("coffee").convert("CMYK"), "JPEG", **options)
    assert decode_jpeg(content).mode == "CMYK"
    assert np.array_equal(np.asarray(decode_jpeg(content)), np.asarray(by_pillow(content)))


@pytest.mark.parametrize(
    "sampling",
    [
        [(2, 2)],
        [(4, 1), (1, 1), (1, 1)],
        [(1, 4), (1, 1), (1, 1)],
        [(4, 2), (1, 1), (1, 1)],
        [(3, 1), (1, 1), (1, 1)],
        [(2, 2), (2, 1), (1, 1)],
        [(1, 1), (2, 2), (2, 2)],
        [(2, 1), (1, 1), (1, 1), (2, 1)],
        [(2, 2), (1, 1), (1, 1), (1, 1)],
    ],
)
def test_any_sampling_is_served(sampling: list[tuple[int, int]]) -> None:
    """The common ones strictly, the others by Pillow."""
    content = flat_jpeg((50, 40), sampling)
    assert shown(content).size == (50, 40)
    assert np.array_equal(np.asarray(decode_jpeg(content)), np.asarray(by_pillow(content)))


def test_arithmetic_coding_is_served() -> None:
    """Rare, and as right as any other."""
    content = flat_jpeg((50, 40), [(1, 1)] * 3, frame=0xC9, scan=b"\x12\x34\x56\x78")
    assert np.array_equal(np.asarray(shown(content)), np.asarray(by_pillow(content)))


@pytest.mark.parametrize("content", [PHOTO, PROGRESSIVE, encode(photo("china"), "JPEG", restart_marker_rows=1)])
@pytest.mark.parametrize("damage", ["zeros", "missing", "text mode", "twice"])
def test_damaged_scans_are_refused(content: bytes, damage: str) -> None:
    """As files are damaged on their way: a block of zeros, one that is missing or doubled, line ends converted."""
    half = len(content) // 2
    damaged = {
        "zeros": content[:half] + bytes(4096) + content[half + 4096 :],
        "missing": content[:half] + content[half + 4096 :],
        "text mode": content[:half] + content[half:].replace(b"\n", b"\r\n"),
        "twice": content[:half] + content[half - 4096 :],
    }[damage]
    with pytest.raises(InvalidImage, match=r"^image: the picture is damaged or incomplete$"):
        shown(damaged)


def test_random_damage() -> None:
    """Without checksums a changed byte may give another valid picture; what gives none is refused here, and not by Pillow."""
    choices = random.Random(0)  # noqa: S311 - any will do
    refused = {"here": 0, "by Pillow": 0}
    for _ in range(100):
        place = choices.randrange(700, len(PROGRESSIVE))
        damaged = PROGRESSIVE[:place] + bytes((PROGRESSIVE[place] ^ choices.randrange(1, 256),)) + PROGRESSIVE[place + 1 :]
        for name, decode in (("here", decode_jpeg), ("by Pillow", by_pillow)):
            try:
                decode(damaged)
            except (Unreadable, ValueError, OSError):
                refused[name] += 1
    assert refused["here"] > refused["by Pillow"] + 30


@pytest.mark.parametrize("content", [PHOTO, PROGRESSIVE])
def test_shortened_files_are_refused(content: bytes) -> None:
    """Wherever they are cut, progressive ones between two scans too."""
    for length in range(0, len(content) - 4, 997):
        with pytest.raises(InvalidImage):
            shown(content[:length])
    for cut in (place for place in range(700, len(PROGRESSIVE)) if PROGRESSIVE[place : place + 2] == b"\xff\xc4"):
        with pytest.raises(InvalidImage):
            shown(PROGRESSIVE[:cut])


def test_missing_colours_are_not_passed_over() -> None:
    """A file of a scan for each component that ends after the first."""
    whole = flat_jpeg((8, 8), [(1, 1)] * 3)
    one_of_three = whole.replace(bytes((3, 0, 0, 1, 0, 2, 0, 0, 63, 0)), bytes((1, 0, 0, 0, 63, 0))).replace(
        b"\0\x0c\x01", b"\0\x08\x01"
    )
    with pytest.raises(InvalidImage):
        shown(one_of_three.removesuffix(b"\xff\xd9"))
    assert shown(whole.removesuffix(b"\xff\xd9")).size == (8, 8)


@pytest.mark.parametrize(
    "content",
    [
        PHOTO[:-2],
        PHOTO[:-1],
        PHOTO + b"\0" * 1000,
        PHOTO + PROGRESSIVE,
        PHOTO + noise(600, 600).tobytes(),
        PHOTO[:2] + b"\xff" * 1000 + PHOTO[2:],
        PHOTO[:2] + b"\xff\x00junk\xff\x01\xff\xd0" + PHOTO[2:],
        PHOTO[:2] + jpeg_segment(0xED, b"Photoshop 3.0\x008BIM rubbish") + PHOTO[2:],
        PHOTO[:2] + jpeg_segment(0xE2, b"MPF\0rubbish") + jpeg_segment(0xE2, b"ICC_PROFILE\0") + PHOTO[2:],
        PHOTO[:2] + jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0rubbish") + jpeg_segment(0xFE, b"comment") + PHOTO[2:],
    ],
)
def test_oddities_of_cameras_and_tools(content: bytes) -> None:
    """A missing end, padding, trailers with films or further pictures, broken metadata: the picture is whole, and shown."""
    assert np.array_equal(np.asarray(shown(content)), np.asarray(by_pillow(PHOTO)))


def test_several_pictures_in_one_file() -> None:
    """MPO, as cameras with two lenses write it: the first one."""
    frames = [photo("china"), photo("flower")]
    content = encode(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert np.array_equal(np.asarray(shown(content)), np.asarray(by_pillow(encode(frames[0], "JPEG"))))


def test_floods_of_scans_are_refused() -> None:
    """A few bytes each, at the cost of all pixels; counted to the end of the picture, not in what follows."""
    assert shown(PROGRESSIVE + progressive_jpeg((8, 8), 100)).size == photo("china").size
    assert shown(progressive_jpeg((8, 8), 1, progression=0)).size == (8, 8)
    with pytest.raises(Unreadable, match=f"has more than {MAX_SCANS} JPEG scans"):
        reduced_jpeg(progressive_jpeg((8, 8), MAX_SCANS))
    with pytest.raises(Unreadable, match=f"has more than {MAX_ARITHMETIC_SCANS} JPEG scans"):
        reduced_jpeg(progressive_jpeg((8, 8), MAX_ARITHMETIC_SCANS).replace(b"\xff\xc2", b"\xff\xca"))


def test_floods_of_segments_are_refused() -> None:
    """Before the first scan and between scans."""
    flood = jpeg_segment(0xE1) * MAX_SEGMENTS
    for content in (PHOTO[:2] + flood + PHOTO[2:], PHOTO[:-2] + flood + PHOTO[-2:]):
        with pytest.raises(Unreadable, match=f"has more than {MAX_SEGMENTS} JPEG segments"):
            reduced_jpeg(content)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8" + jpeg_segment(0xE0, b"JFIF\0"),
        PHOTO[:2] + b"\xff\xfe\0\1" + PHOTO[2:],
        flat_jpeg((0, 8), [(1, 1)]),
        flat_jpeg((8, 8), [(1, 1)] * 2),
        b"\xff\xd8" + jpeg_segment(0xC0, b"\x08" + bytes(5)) + PHOTO[2:],
    ],
)
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    """No scan, no pixels, two components, two frames, an impossible length."""
    with pytest.raises(InvalidImage, match=r"^image: the picture is damaged or incomplete$"):
        shown(content)


@pytest.mark.parametrize("changed", [b"\xff\xc3\0\x11\x08", b"\xff\xc5\0\x11\x08", b"\xff\xc1\0\x11\x0c"])
def test_rare_kinds_are_refused_as_such(changed: bytes) -> None:
    """Lossless, hierarchical and twelve-bit coding."""
    with pytest.raises(Unreadable, match="is of a rare kind of JPEG"):
        reduced_jpeg(PHOTO.replace(b"\xff\xc0\0\x11\x08", changed))


def test_the_size_is_known_before_pixels() -> None:
    """A header of 65500 x 65500 costs nothing."""
    assert read_header(flat_jpeg((8, 8), [(1, 1)]).replace(b"\0\x08\0\x08", b"\xff\xdc\xff\xdc"), "image").size == (65500, 65500)
