"""GIF: whatever surrounds the first image costs nothing."""

import struct

import numpy as np
import pytest
from PIL import Image

from hostile import gif
from images import encode, noise, photo, shown
from phiserve.codecs import parse
from phiserve.codecs.gif import MAX_BLOCKS, reduced
from phiserve.errors import InvalidImage

CONTROL = b"!\xf9\x04%c\0\0\0\0"


def test_comments_and_applications_are_left_out() -> None:
    """What stands before the image goes, and the image stays."""
    plain = gif((1, 1), (1, 1))
    extensions = b"!\xfe\x03abc\x01d\0" + b"\0\0" + b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
    assert reduced(gif((1, 1), (1, 1), extensions)) == plain


def test_transparency_stays() -> None:
    """The transparent colour counts; what is to be done after showing the image does not."""
    assert reduced(gif((1, 1), (1, 1), CONTROL % 0x0D)) == gif((1, 1), (1, 1), CONTROL % 0x01)


@pytest.mark.parametrize("control", [0x04, 0x08, 0x0C])
def test_a_huge_frame_is_known_by_its_header(control: int) -> None:
    """No room is made for what would replace it: 4 GB, where a limit on pixels has not been asked yet."""
    assert parse(gif((8, 8), (65535, 65535), CONTROL % control)).size == (65535, 65535)


def test_a_frame_beyond_the_screen_widens_it() -> None:
    """As Pillow does; and a small frame on a large screen leaves it as large as it is."""
    assert parse(gif((8, 8), (9, 4))).size == (9, 8)
    assert parse(gif((65535, 65535), (1, 1))).size == (65535, 65535)


def on_screen(content: bytes, screen: tuple[int, int], place: tuple[int, int], background: int) -> bytes:
    """A GIF of one image, put at a place (left, top) of a larger screen of some background colour."""
    frame = content.index(b",\0\0\0\0" + content[6:10])
    head = (
        content[:6] + struct.pack("<HH", *screen) + content[10:11] + bytes((background,)) + content[12:frame]
    )
    return head + b"," + struct.pack("<HH", *place) + content[frame + 5 :]


@pytest.mark.parametrize("options", [{}, {"interlace": False}, {"transparency": 0}])
@pytest.mark.parametrize("place", [(0, 0), (9, 0), (0, 5), (9, 5), (36, 20)])
@pytest.mark.parametrize("background", [0, 3, 200])
def test_around_a_small_image_there_is_nothing(
    place: tuple[int, int], background: int, options: dict[str, object]
) -> None:
    """White, as browsers show it on a white page, whatever colour the screen names and the palette begins
    with.
    """
    palette = photo("china").resize((64, 43)).quantize(16)
    content = encode(palette, "GIF", **options)
    left, top = place
    seen = np.asarray(shown(on_screen(content, (100, 63), place, background)))
    expected = np.full((63, 100, 3), 255, np.uint8)
    expected[top : top + 43, left : left + 64] = np.asarray(shown(content))
    assert np.array_equal(seen, expected)
    assert (expected[top : top + 43, left : left + 64] < 128).any()


def test_palettes_of_the_image_itself() -> None:
    """Where the screen has none, there is as little around the image."""
    content = gif((3, 2), (1, 1))
    start, image = content.index(b"\0\0\0\xff"), content.index(b",")
    own = content[:10] + b"\0" + content[11:start] + content[image : image + 9] + b"\x80"
    own += content[start:image] + content[image + 10 :]
    assert (np.asarray(shown(own)).reshape(-1, 3)[1:] == 255).all()
    assert shown(own).size == (3, 2)


def test_long_animations() -> None:
    """Ten thousand frames are one."""
    content = gif((1, 1), (1, 1), frames=10_000)
    assert shown(content).size == (1, 1)


def test_floods_of_comments_are_refused() -> None:
    """Each would cost a step in Python."""
    with pytest.raises(InvalidImage, match=f"more than {MAX_BLOCKS} GIF blocks"):
        reduced(gif((1, 1), (1, 1), b"!\xfe\x01x\0" * MAX_BLOCKS))


@pytest.mark.parametrize(
    "content",
    [
        b"GIF89a",
        b"GIF89a" + bytes(7),
        gif((1, 1), (1, 1), frames=0),
        gif((1, 1), (1, 1), b"?"),
        gif((1, 1), (1, 1), frames=0)[:-1] + b"!\xf9\x04",
    ],
)
def test_no_image(content: bytes) -> None:
    """A file that ends, or goes astray, before an image."""
    with pytest.raises(InvalidImage, match="damaged or incomplete"):
        reduced(content)


def test_shortened_images_are_refused() -> None:
    """Wherever a file is cut before its image is complete."""
    content = encode(photo("china").resize((64, 43)), "GIF")
    for length in range(0, len(content) - 2, 7):
        with pytest.raises(InvalidImage):
            shown(content[:length])


def test_modes() -> None:
    """Grey and coloured palettes, transparent and not."""
    grey = encode(Image.new("L", (4, 4), 77), "GIF")
    assert shown(grey).getpixel((0, 0)) == (77, 77, 77)
    palette = noise(8, 8).quantize(4)
    clear = encode(palette, "GIF", transparency=palette.getpixel((0, 0)))
    assert shown(clear).getpixel((0, 0)) == (255, 255, 255)
