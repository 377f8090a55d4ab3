"""Every accepted format and mode decodes to the right upright RGB image; everything else is refused in our
own words.
"""

import numpy as np
import pytest
from PIL import Image

from images import encode, noise
from phiserve.codecs.decode import decode_rgb, read_header
from phiserve.codecs.formats import FORMATS
from phiserve.codecs.orientation import ORIENTATION
from phiserve.errors import InvalidImage


def decoded(content: bytes) -> Image.Image:
    return decode_rgb(content, read_header(content, "image"), "image")


def colours(image: Image.Image) -> list[tuple[int, ...]]:
    """All pixels, row by row."""
    return [tuple(colour) for colour in np.asarray(image).reshape(-1, 3).tolist()]


@pytest.mark.parametrize("format", ["PNG", "BMP", "WEBP", "GIF", "JPEG"])
def test_formats(format: str) -> None:  # noqa: A002 - Pillow's own word
    """A plain image in each format; lossless ones exactly."""
    image = Image.new("RGB", (40, 30), (200, 30, 60))
    image.paste((0, 0, 255), (0, 0, 20, 30))
    options = (
        {"lossless": True}
        if format == "WEBP"
        else {"quality": 95, "subsampling": 0}
        if format == "JPEG"
        else {}
    )
    result = decoded(encode(image, format, **options))
    difference = np.abs(np.asarray(result, int) - np.asarray(image, int)).max()
    assert (result.mode, result.size) == ("RGB", (40, 30))
    assert difference <= (12 if format == "JPEG" else 0)


def test_every_accepted_format_is_tested() -> None:
    """The list above is the whole list."""
    assert set(FORMATS) == {"PNG", "BMP", "WEBP", "GIF", "JPEG"}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation(orientation: int, format: str) -> None:  # noqa: A002 - Pillow's own word
    """An image stored on its side is shown upright, and its header already says so."""
    upright = Image.new("RGB", (48, 32), "white")
    upright.paste((255, 0, 0), (0, 0, 16, 16))  # only the top left corner is red
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Transpose members that undo each orientation
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = (
        {"lossless": True}
        if format == "WEBP"
        else {"quality": 95, "subsampling": 0}
        if format == "JPEG"
        else {}
    )
    content = encode(stored, format, exif=exif, **options)
    assert read_header(content, "image").size == (48, 32)
    assert np.abs(np.asarray(decoded(content), int) - np.asarray(upright, int)).max() <= 40


@pytest.mark.parametrize(
    "failure", [ZeroDivisionError, AssertionError, OverflowError, AttributeError, MemoryError]
)
def test_whatever_a_library_fails_with_is_a_damaged_image(
    failure: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow's plugins divide by what stands in files, and assert what files should hold. None of it is
    told.
    """

    def fail(*arguments: object, **options: object) -> None:
        raise failure("/usr/lib/python3")

    content = encode(noise(8, 8), "WEBP")
    header = read_header(content, "image")
    monkeypatch.setattr(Image, "open", fail)
    for work in (lambda: read_header(content, "image"), lambda: decode_rgb(content, header, "image")):
        with pytest.raises(InvalidImage, match=r"^image: the image is damaged or incomplete$"):
            work()


def test_damaged_exif_is_ignored() -> None:
    """A nonsensical EXIF block says nothing about the pixels."""
    content = encode(Image.new("RGB", (8, 4)), "JPEG", exif=b"Exif\0\0rubbish")
    assert read_header(content, "image").size == (8, 4)


def test_transparency_is_shown_on_white() -> None:
    """RGBA, grey with alpha, a palette with a transparent entry, and a transparent colour key."""
    clear, solid = (0, 0, 0, 0), (10, 20, 30, 255)
    rgba = Image.new("RGBA", (2, 1))
    rgba.putdata([clear, solid])
    half = Image.new("RGBA", (1, 1), (0, 0, 0, 128))
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.putdata([0, 1])
    keyed = Image.new("RGB", (2, 1))
    keyed.putdata([(0, 0, 0), (10, 20, 30)])
    for content in (encode(rgba), encode(palette, transparency=0), encode(keyed, transparency=(0, 0, 0))):
        assert colours(decoded(content)) == [(255, 255, 255), (10, 20, 30)]
    assert decoded(encode(half)).getpixel((0, 0)) == (127, 127, 127)
    assert colours(decoded(encode(rgba.convert("LA"))))[0] == (255, 255, 255)


def test_16_bit_grey_is_scaled() -> None:
    """65535 is white and 32768 is middle grey, where Pillow's own conversion would clip."""
    levels = np.array([[0, 257, 32768, 65535]], np.uint16)
    assert [colour[0] for colour in colours(decoded(encode(Image.fromarray(levels))))] == [0, 1, 128, 255]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_other_modes(mode: str) -> None:
    """Bilevel, grey, palette and CMYK images come out as RGB of the same colours."""
    image = Image.new("RGB", (8, 8), "white").convert(mode)
    content = encode(image, "JPEG" if mode == "CMYK" else "PNG")
    assert decoded(content).getpixel((4, 4)) == (255, 255, 255)


def test_animations_show_their_first_frame() -> None:
    """GIF and WEBP animations."""
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for options in ({"format": "GIF"}, {"format": "WEBP", "lossless": True}):
        content = encode(frames[0], save_all=True, append_images=frames[1:], **options)
        assert decoded(content).getpixel((4, 4)) == (255, 0, 0)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_truncated_images_are_refused(format: str) -> None:  # noqa: A002 - Pillow's own word
    """Half a file is never answered."""
    content = encode(noise(200, 200), format)
    with pytest.raises(InvalidImage, match=r"^image: the image is damaged or incomplete$"):
        decoded(content[: len(content) // 2])


@pytest.mark.parametrize("content", [b"hello", b"\x89PNG\r\n\x1a\n", encode(noise(4, 4), "TIFF"), b"<svg/>"])
def test_other_content_is_refused(content: bytes) -> None:
    """Text, a bare signature and formats that are not accepted: one message, none of it the library's."""
    with pytest.raises(InvalidImage) as caught:
        read_header(content, "messages[0].content[1].image_url")
    assert caught.value.param == "messages[0].content[1].image_url"
    assert "0x" not in caught.value.message
