"""JPEG: an image is refused if its scans do not bring all of it, although the end mark stands behind them."""

import re
from collections.abc import Iterable

import numpy as np
import pytest

from hostile import flat_jpeg, flat_jpeg_of_three_scans, jpeg_segment, progressive_jpeg
from images import encode, photo, shown
from jpegs import PROGRESSIVE, by_pillow
from phiserve.codecs.jpeg_coverage import Coverage
from phiserve.errors import InvalidImage

END = b"\xff\xd9"
WHOLE_BAND = (0, 63, 0)
DAMAGED = r"^the image is damaged or incomplete$"


def frame(*names: int, kind: int = 0xC0) -> bytes:
    """The segment of a frame whose components have these names."""
    components = b"".join(bytes((name, 0x11, 0)) for name in names)
    return jpeg_segment(kind, b"\x08\0\x08\0\x08" + bytes((len(names),)) + components)


def head(*names: int, band: tuple[int, int, int] = WHOLE_BAND) -> bytes:
    """The head of a scan of these components: first frequency, last one, bits before and after."""
    return jpeg_segment(0xDA, bytes((len(names), *(byte for name in names for byte in (name, 0)), *band)))


def is_complete(frame: bytes, heads: Iterable[bytes]) -> bool:
    """Whether scans with these heads bring all of an image."""
    coverage = Coverage(frame)
    for one in heads:
        coverage.add(one)
    return coverage.is_complete


@pytest.mark.parametrize("num_scans", [0, 1, 2])
def test_scans_of_single_colours(num_scans: int) -> None:
    """A file of a scan for each component that ends, properly, before the last one; Pillow shows it."""
    whole = flat_jpeg_of_three_scans((50, 40))
    starts = [found.start() for found in re.finditer(b"\xff\xda", whole)]
    part = whole[: starts[num_scans]]
    for content in (part, part + END):
        with pytest.raises(InvalidImage, match=DAMAGED):
            shown(content)
    if num_scans:
        assert by_pillow(part + END).size == (50, 40)
    assert shown(whole).size == shown(whole[:-2]).size == (50, 40)


@pytest.mark.parametrize("content", [PROGRESSIVE, encode(photo("page"), "JPEG", progressive=True)])
def test_progressive_images_that_end_between_scans(content: bytes) -> None:
    """Blurred, but as large as ever; Pillow shows all of them but the first."""
    starts = [found.start() for found in re.finditer(b"\xff\xda", content)]
    ends = [max(content.rfind(b"\xff\xc4", 0, start), content.rfind(END, 0, start)) for start in starts]
    assert len(ends) >= 6
    for end in ends:
        with pytest.raises(InvalidImage, match=DAMAGED):
            shown(content[:end] + END)
    assert by_pillow(content[: ends[-1]] + END).size == by_pillow(content).size


@pytest.mark.parametrize("options", [{}, {"restart_marker_rows": 1}, {"subsampling": 0, "quality": 100}])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_what_encoders_write_is_complete(mode: str, options: dict[str, object]) -> None:
    """libjpeg's own order of scans, for any number of components."""
    image = photo("coffee").convert(mode)
    for is_progressive in (False, True):
        content = encode(image, "JPEG", progressive=is_progressive, **options)
        assert shown(content).size == image.size


def test_refinement_of_what_never_came() -> None:
    """The last bits of frequencies whose first ones are missing: noticed by libjpeg, which only warns."""
    with pytest.raises(InvalidImage, match=DAMAGED):
        shown(progressive_jpeg((8, 8), 1))
    assert shown(progressive_jpeg((8, 8), 1, progression=0)).size == (8, 8)


@pytest.mark.parametrize(
    ("heads", "expected"),
    [
        ([(0, 0, 0), (1, 63, 0)], True),
        ([(0, 0, 1), (1, 5, 2), (6, 63, 2), (1, 63, 0x21), (0, 0, 0x10), (1, 63, 0x10)], True),
        ([(0, 0, 1), (1, 63, 0)], False),
        ([(0, 0, 0), (1, 62, 0)], False),
        ([(0, 0, 0), (2, 63, 0)], False),
        ([(0, 0, 0), (1, 63, 1)], False),
        ([(0, 0, 0), (1, 63, 2), (1, 63, 0x21)], False),
        ([(0, 0, 0), (1, 63, 0), (1, 5, 1)], False),
        ([(0, 0, 0), (1, 255, 0)], True),
        ([(0, 0, 0), (255, 1, 0)], False),
        ([(0, 0, 0)], False),
    ],
)
def test_bands_and_bits(heads: list[tuple[int, int, int]], expected: bool) -> None:
    """Each frequency must have come, to its last bit."""
    assert is_complete(frame(1, kind=0xC2), (head(1, band=band) for band in heads)) == expected


def test_bands_mean_nothing_where_scans_are_not_progressive() -> None:
    """Some encoders write any numbers there."""
    assert is_complete(frame(1, 2, 3), [head(1, 2, 3, band=(0, 0, 0xFF))])


def test_components_that_share_a_name() -> None:
    """Together they are told by their order, as in libjpeg, and alone only the first is ever meant."""
    shared = frame(1, 1, 1)
    assert is_complete(shared, [head(1, 1, 1)])
    assert not is_complete(shared, [head(1)] * 3)
    whole = flat_jpeg((50, 40), [(1, 1)] * 3)
    renamed = whole.replace(b"\0\x11\0\1\x11\0\2\x11\0", b"\1\x11\0\1\x11\0\1\x11\0")
    renamed = renamed.replace(b"\3\0\0\1\0\2\0", b"\3\1\0\1\0\1\0")
    assert np.array_equal(np.asarray(shown(renamed)), np.asarray(by_pillow(whole)))


@pytest.mark.parametrize(
    "broken",
    [b"", b"\xff\xda", head(1)[:-1], head(1) + b"\0", head(9), head(1, 1), jpeg_segment(0xDA, b"\1")],
)
def test_heads_that_bring_nothing(broken: bytes) -> None:
    """Too short, too long, or of components that do not exist."""
    assert not is_complete(frame(1), [broken])
    assert is_complete(frame(1), [broken, head(1)])
