"""A canvas knows where in the model's view everything was drawn."""

import asyncio
import random
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from demo.canvas import EDGE_KINDS, Canvas, Colour, fit_size, random_size, seen
from demo.fonts import FONTS, width_em
from demo.reader import GLYPHS
from images import data_url, encode, noise
from phiserve.core import ImagePlaceholder
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits
from phiserve.vision.sizes import plan_crops

WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (220, 30, 30)
SIZES = ((336, 336), (500, 420), (300, 336), (720, 690))


def ink(canvas: Canvas) -> NDArray[np.bool_]:
    """Where black shows on white, (336, 336)."""
    dark: NDArray[np.bool_] = canvas.crop().mean(-1) < 160
    return dark


@pytest.mark.parametrize("font", range(len(FONTS)))
@pytest.mark.parametrize("size", SIZES)
def test_every_glyph_s_centre_lies_in_its_ink(font: int, size: tuple[int, int]) -> None:
    """Each character's centre lies within the box of the pixels it darkens, whatever the picture's size."""
    canvas = Canvas(size, WHITE)
    for number, character in enumerate(GLYPHS):
        canvas.text(canvas.left + 20 + number % 8 * 35, 45 + number // 8 * 34, character, 21.4, BLACK, font)
    dark = ink(canvas)
    for glyph in canvas.glyphs:
        top, left = int(glyph.y) - 14, int(glyph.x) - 14
        rows, columns = np.nonzero(dark[top : top + 29, left : left + 29])
        assert left + columns.min() <= glyph.x <= left + columns.max() + 1, glyph
        assert top + rows.min() <= glyph.y <= top + rows.max() + 1, glyph


@pytest.mark.parametrize("font", range(len(FONTS)))
@pytest.mark.parametrize("size", SIZES)
def test_the_pen_is_known_along_a_line(font: int, size: tuple[int, int]) -> None:
    """The last of many letters is as exactly placed as the first: their ink is centred on them."""
    canvas = Canvas(size, WHITE)
    glyphs = canvas.text(canvas.left + 3, 168, "o" * 18, 19.3, BLACK, font)
    columns = np.nonzero(ink(canvas)[160:176].any(0))[0] + 0.5
    half = (glyphs[-1].x - glyphs[0].x) / 17 / 2
    for glyph in glyphs:
        own = columns[abs(columns - glyph.x) < half]
        assert abs((own.min() + own.max()) / 2 - glyph.x) <= 1


def test_spaces_are_no_glyphs_of_the_picture() -> None:
    """A line's glyphs include its spaces, so that it can be read in order; the picture's do not."""
    canvas = Canvas((336, 336), WHITE)
    line = canvas.text(10, 100, "a b", 20, BLACK, 0)
    assert [glyph.character for glyph in line] == ["a", " ", "b"]
    assert [glyph.character for glyph in canvas.glyphs] == ["a", "b"]


@pytest.mark.parametrize("size", [(336, 336), (640, 427), (300, 700), (281, 280)])
@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [("RGB", "PNG", {}), ("L", "PNG", {}), ("RGB", "JPEG", {"quality": 80}), ("L", "JPEG", {"quality": 80})],
)
def test_the_model_sees_what_the_server_cuts(
    size: tuple[int, int], mode: str, kind: str, options: dict[str, Any]
) -> None:
    """`seen` equals the crop that the server's image service makes of the same file."""
    content = encode(noise(*size).convert(mode), kind, **options)
    service = ImageService(ImageLimits(), workers=1)

    async def served() -> NDArray[np.uint8]:
        (image,) = await service.read(
            [ImagePlaceholder(data_url(content, f"image/{kind.lower()}"), "auto", "p")]
        )
        return await service.crops(image, plan_crops(*size, 1))

    crops = asyncio.run(served())
    service.close()
    with Image.open(BytesIO(content)) as picture:
        np.testing.assert_array_equal(crops, seen(picture)[None])


@pytest.mark.parametrize("size", [(672, 500), (250, 500), (336, 336)])
def test_the_frame_is_the_picture_within_the_padding(size: tuple[int, int]) -> None:
    """Left, top, right and bottom bound the picture in the crop; beyond them it is white."""
    canvas = Canvas(size, BLACK)
    dark = ink(canvas)
    expected = np.zeros_like(dark)
    expected[int(canvas.top) : int(canvas.bottom), int(canvas.left) : int(canvas.right)] = True
    np.testing.assert_array_equal(dark, expected)


def test_an_edge_is_known_patch_by_patch() -> None:
    """A square from the 7th to the 17th patch has its edge in the ring of those patches and nowhere else."""
    canvas = Canvas((672, 672), WHITE)
    canvas.shape("square", 168, 168, 70, RED)
    expected = np.zeros((24, 24), np.int64)
    expected[7:18, 7:18] = EDGE_KINDS.index("square") + 1
    expected[8:17, 8:17] = 0
    np.testing.assert_array_equal(canvas.edge_patches(), expected)


@pytest.mark.parametrize("kind", EDGE_KINDS)
@pytest.mark.parametrize("size", [(336, 336), (600, 500), (400, 640)])
def test_edges_lie_where_the_colour_changes(kind: str, size: tuple[int, int]) -> None:
    """Patches of the edge hold both colours, all others one; but for a few where the edge just touches a
    patch.
    """
    canvas = Canvas(size, WHITE)
    canvas.shape(kind, 170, 165, 61.5, RED)
    patches = (
        canvas.crop()[..., 1].reshape(24, 14, 24, 14).transpose(0, 2, 1, 3).reshape(24, 24, -1).astype(int)
    )
    both = np.ptp(patches, -1) > 100
    edge = canvas.edge_patches() > 0
    assert set(canvas.edge_patches()[edge]) == {EDGE_KINDS.index(kind) + 1}
    assert (edge & both).sum() >= 0.85 * max(edge.sum(), both.sum())


@pytest.mark.parametrize(
    ("kind", "corners"),
    [
        ("circle", (False, False, False, False)),
        ("square", (True,) * 4),
        ("triangle", (False, False, True, True)),
    ],
)
def test_shapes_are_what_they_are_called(kind: str, corners: tuple[bool, ...]) -> None:
    """The centre has the colour; which corners have it tells circle, square and triangle apart."""
    canvas = Canvas((336, 336), WHITE)
    canvas.shape(kind, 100, 120, 50, RED)
    crop = canvas.crop()
    places = [(120 + down * 46, 100 + right * 42) for down in (-1, 1) for right in (-1, 1)]
    assert tuple(crop[120, 100]) == RED
    assert tuple(tuple(crop[place]) == RED for place in places) == corners


def test_random_sizes() -> None:
    """Half of all pictures need no scaling; the ratio is the one asked for."""
    rng = random.Random(0)
    sizes = [random_size(rng, aspect) for aspect in (0.7, 1.0, 1.4) for _ in range(200)]
    ratios = [width / height for width, height in sizes]
    np.testing.assert_allclose(ratios, np.repeat((0.7, 1.0, 1.4), 200), rtol=0.01)
    assert 0.4 < np.mean([max(size) == 336 for size in sizes]) < 0.6


def test_what_fits() -> None:
    """A size that fits the width and the bounds, or None."""
    rng = random.Random(0)
    sizes = [fit_size("Mississippi", 1, 200, 17, 60, rng) for _ in range(200)]
    widths = [size * width_em(1, "Mississippi") for size in sizes if size]
    assert len(widths) == 200
    assert 195 < max(widths) <= 200
    assert fit_size("Mississippi", 1, 200, 17, 18, rng) in (pytest.approx(17.5, abs=0.5),)
    assert fit_size("Mississippi", 1, 80, 17, 60, rng) is None


def test_text_has_its_colours() -> None:
    """Ink and background are those asked for."""
    colour: Colour = (10, 200, 30)
    canvas = Canvas((336, 336), colour)
    canvas.text(20, 168, "HHHH", 38, BLACK, 0)
    pixels = {tuple(pixel) for pixel in canvas.crop().reshape(-1, 3)}
    assert {colour, BLACK} <= pixels


@pytest.mark.parametrize(("y", "stands"), [(14.1, 16), (27.9, 26), (20.5, 20.5), (28, 30), (0, 2)])
def test_a_line_stays_clear_of_borders(y: float, stands: float) -> None:
    """It stands CLEARANCE or more from the borders of rows of patches: where it should, if that is allowed,
    else near it.
    """
    canvas = Canvas((336, 336), (255, 255, 255))
    assert {glyph.y for glyph in canvas.text(5, y, "line", 20, BLACK, 0)} == {stands}
