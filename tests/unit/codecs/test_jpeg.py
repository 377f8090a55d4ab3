"""JPEG: pixels are Pillow's, what libjpeg only warns about is refused, and what is not the image does not
matter.
"""

import random
import re

import numpy as np
import pytest

from hostile import flat_jpeg, jpeg_segment
from images import encode, noise, photo, shown
from jpegs import PHOTO, PROGRESSIVE, by_pillow, components
from phiserve.errors import InvalidImage

OPTIONS: dict[str, dict[str, object]] = {
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


@pytest.mark.parametrize("name", ["china", "flower", "astronaut", "coffee", "rocket", "page"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_pixels_are_pillows(name: str, options: dict[str, object]) -> None:
    """Both use libjpeg-turbo, and must go on agreeing to the last bit."""
    content = encode(photo(name), "JPEG", **options)
    assert np.array_equal(components(content), np.asarray(by_pillow(content)))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 10}])
def test_inks_are_pillows(options: dict[str, object]) -> None:
    """CMYK as Adobe writes it, which is upside down."""
    content = encode(photo("coffee").convert("CMYK"), "JPEG", **options)
    assert components(content).shape[2] == 4
    assert np.array_equal(components(content), np.asarray(by_pillow(content)))


@pytest.mark.parametrize(
    "sampling",
    [
        [(2, 2)],
        [(4, 1), (1, 1), (1, 1)],
        [(1, 4), (1, 1), (1, 1)],
        [(2, 2), (2, 1), (2, 1)],
        [(2, 1), (2, 1), (2, 1)],
        [(3, 1), (3, 1), (3, 1)],
        [(2, 1), (1, 1), (1, 1), (2, 1)],
    ],
)
def test_samplings_are_served_as_pillow_shows_them(sampling: list[tuple[int, int]]) -> None:
    """Colours in full, half and a quarter, also where all factors are multiplied."""
    content = flat_jpeg((50, 40), sampling)
    assert shown(content).size == (50, 40)
    assert np.array_equal(components(content), np.asarray(by_pillow(content)))


def test_arithmetic_coding_is_served() -> None:
    """Rare, and as right as any other."""
    content = flat_jpeg((50, 40), [(1, 1)] * 3, frame=0xC9, scan=b"\x12\x34\x56\x78")
    assert np.array_equal(np.asarray(shown(content)), np.asarray(by_pillow(content)))


@pytest.mark.parametrize(
    "content", [PHOTO, PROGRESSIVE, encode(photo("china"), "JPEG", restart_marker_rows=1)]
)
@pytest.mark.parametrize("damage", ["zeros", "missing", "text mode", "twice"])
def test_damaged_scans_are_refused(content: bytes, damage: str) -> None:
    """As files are damaged on their way: a block of zeros, one that is missing or doubled, line ends
    converted.
    """
    half = len(content) // 2
    damaged = {
        "zeros": content[:half] + bytes(4096) + content[half + 4096 :],
        "missing": content[:half] + content[half + 4096 :],
        "text mode": content[:half] + content[half:].replace(b"\n", b"\r\n"),
        "twice": content[:half] + content[half - 4096 :],
    }[damage]
    with pytest.raises(InvalidImage, match=r"^the image is damaged or incomplete$"):
        shown(damaged)


def test_random_damage() -> None:
    """Without checksums a changed byte may give another valid image; what does not is refused here, and not
    by Pillow.
    """
    choices = random.Random(0)
    refused = {"here": 0, "by Pillow": 0}
    for _ in range(100):
        offset = choices.randrange(700, len(PROGRESSIVE))
        damaged = (
            PROGRESSIVE[:offset]
            + bytes((PROGRESSIVE[offset] ^ choices.randrange(1, 256),))
            + PROGRESSIVE[offset + 1 :]
        )
        for name, decode in (("here", components), ("by Pillow", by_pillow)):
            try:
                decode(damaged)
            except (InvalidImage, OSError):
                refused[name] += 1
    assert refused["here"] > refused["by Pillow"] + 30


@pytest.mark.parametrize("content", [PHOTO, PROGRESSIVE])
def test_shortened_files_are_refused(content: bytes) -> None:
    """Wherever they are cut, progressive ones between two scans too."""
    for length in range(0, len(content) - 4, 997):
        with pytest.raises(InvalidImage):
            shown(content[:length])
    for table in re.finditer(b"\xff\xc4", PROGRESSIVE[700:]):
        with pytest.raises(InvalidImage):
            shown(PROGRESSIVE[: 700 + table.start()])


def test_missing_colours_are_not_passed_over() -> None:
    """A file of a scan for each component that ends after the first."""
    whole = flat_jpeg((8, 8), [(1, 1)] * 3)
    one_of_three = whole.replace(bytes((3, 0, 0, 1, 0, 2, 0, 0, 63, 0)), bytes((1, 0, 0, 0, 63, 0))).replace(
        b"\0\x0c\x01", b"\0\x08\x01"
    )
    with pytest.raises(InvalidImage):
        shown(one_of_three.removesuffix(b"\xff\xd9"))
    assert shown(whole.removesuffix(b"\xff\xd9")).size == (8, 8)


@pytest.mark.parametrize("padding", [1, 2, 500])
def test_zeros_that_fill_up_a_frame(padding: int) -> None:
    """Video cameras write images of even or of fixed length; the scan is complete before."""
    for content in (PHOTO, encode(photo("page"), "JPEG")):
        padded = content[:-2] + bytes(padding) + content[-2:]
        for file in (padded, padded[:-2]):
            assert np.array_equal(np.asarray(shown(file)), np.asarray(shown(content)))


def test_zeros_in_place_of_pixels_are_damage() -> None:
    """A file whose end was never written, with and without the mark that ends it."""
    for length in (20, 4096, 60_000):
        lost = PHOTO[: -2 - length]
        for content in (
            lost + bytes(length) + PHOTO[-2:],
            lost + bytes(length + 2),
            lost + bytes(length * 9) + PHOTO[-2:],
        ):
            with pytest.raises(InvalidImage, match=r"^the image is damaged or incomplete$"):
                shown(content)


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
        PHOTO[:2]
        + jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0rubbish")
        + jpeg_segment(0xFE, b"comment")
        + PHOTO[2:],
    ],
)
def test_oddities_of_cameras_and_tools(content: bytes) -> None:
    """A missing end, padding, trailers with films or further images, broken metadata: the image is whole, and
    shown.
    """
    assert np.array_equal(np.asarray(shown(content)), np.asarray(by_pillow(PHOTO)))


def test_several_images_in_one_file() -> None:
    """MPO, as cameras with two lenses write it: the first one."""
    frames = [photo("china"), photo("flower")]
    content = encode(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert np.array_equal(np.asarray(shown(content)), np.asarray(by_pillow(encode(frames[0], "JPEG"))))
