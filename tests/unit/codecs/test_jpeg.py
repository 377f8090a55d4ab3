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


@pytest.mark.parametrize("frame", [0xC9, 0xCA])
def test_arithmetic_coding_is_refused(frame: int) -> None:
    """Cut anywhere, its data is the whole of another image: Pillow shows each of these as a picture."""
    for length in (4, 3, 2, 1, 0):
        content = flat_jpeg((50, 40), [(1, 1)] * 3, frame, scan=b"\x12\x34\x56\x78"[:length])
        if frame == 0xC9:
            assert by_pillow(content).size == (50, 40)
        with pytest.raises(InvalidImage, match=r"a rare kind of JPEG \(arithmetically coded"):
            shown(content)


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


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_no_byte_of_a_scan_may_be_missing(mode: str, options: dict[str, object]) -> None:
    """Cut after every byte of every scan, and closed with an end mark or not."""
    whole = encode(photo("china").resize((24, 17)).convert(mode), "JPEG", **options)
    shown(whole)
    for length in range(whole.index(b"\xff\xda"), len(whole) - 2):
        for end in (b"", b"\xff\xd9"):
            with pytest.raises(InvalidImage, match=r"^the image is damaged or incomplete$"):
                shown(whole[:length] + end)


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
