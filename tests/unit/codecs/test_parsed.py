"""Every accepted format and mode decodes to the right upright RGB image; everything else is refused in our
own words. Covers `parsed`, `pillow` and `damage`.
"""

import numpy as np
import pytest
from PIL import Image

from calls import calls_of
from images import encode, noise, shown
from phiserve.codecs import FORMATS, ParsedImage, parse
from phiserve.codecs.jpeg_segments import segments
from phiserve.codecs.orientation import ORIENTATION
from phiserve.errors import InvalidImage

CHECKSUM = "<built-in method zlib.crc32>"
TURNED = Image.Exif()
TURNED[ORIENTATION] = 6
LOSSLESS: dict[str, dict[str, object]] = {
    "WEBP": {"lossless": True},
    "JPEG": {"quality": 95, "subsampling": 0},
}
"""Options of Pillow's, as near to lossless as a format gets."""


def colours(image: Image.Image) -> list[tuple[int, ...]]:
    """All pixels, row by row."""
    return [tuple(colour) for colour in np.asarray(image).reshape(-1, 3).tolist()]


@pytest.mark.parametrize("format", ["PNG", "BMP", "WEBP", "GIF", "JPEG"])
def test_formats(format: str) -> None:  # noqa: A002 - Pillow's own word
    """A plain image in each format; lossless ones exactly."""
    image = Image.new("RGB", (40, 30), (200, 30, 60))
    image.paste((0, 0, 255), (0, 0, 20, 30))
    result = shown(encode(image, format, **LOSSLESS.get(format, {})))
    difference = np.abs(np.asarray(result, int) - np.asarray(image, int)).max()
    assert (result.mode, result.size) == ("RGB", (40, 30))
    assert difference <= (12 if format == "JPEG" else 0)


def test_every_accepted_format_is_tested() -> None:
    """The list above is the whole list."""
    assert set(FORMATS) == {"PNG", "BMP", "WEBP", "GIF", "JPEG"}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation(orientation: int, format: str) -> None:  # noqa: A002 - Pillow's own word
    """An image stored on its side is shown upright, and its size already says so."""
    upright = Image.new("RGB", (48, 32), "white")
    upright.paste((255, 0, 0), (0, 0, 16, 16))  # only the top left corner is red
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Transpose members that undo each orientation
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    content = encode(stored, format, exif=exif, **LOSSLESS.get(format, {}))
    assert parse(content).size == (48, 32)
    assert np.abs(np.asarray(shown(content), int) - np.asarray(upright, int)).max() <= 40


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
    parsed = parse(content)
    parsed.decode()
    monkeypatch.setattr(Image, "open", fail)
    for work in (lambda: parse(content), parsed.decode):
        with pytest.raises(InvalidImage, match=r"^the image is damaged or incomplete$"):
            work()


def test_damaged_exif_is_ignored() -> None:
    """A nonsensical EXIF block says nothing about the pixels."""
    content = encode(Image.new("RGB", (8, 4)), "JPEG", exif=b"Exif\0\0rubbish")
    assert parse(content).size == (8, 4)


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
        assert colours(shown(content)) == [(255, 255, 255), (10, 20, 30)]
    assert shown(encode(half)).getpixel((0, 0)) == (127, 127, 127)
    assert colours(shown(encode(rgba.convert("LA"))))[0] == (255, 255, 255)


def test_16_bit_grey_is_scaled() -> None:
    """65535 is white and 32768 is middle grey, where Pillow's own conversion would clip."""
    levels = np.array([[0, 257, 32768, 65535]], np.uint16)
    assert [colour[0] for colour in colours(shown(encode(Image.fromarray(levels))))] == [0, 1, 128, 255]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_other_modes(mode: str) -> None:
    """Bilevel, grey, palette and CMYK images come out as RGB of the same colours."""
    image = Image.new("RGB", (8, 8), "white").convert(mode)
    content = encode(image, "JPEG" if mode == "CMYK" else "PNG")
    assert shown(content).getpixel((4, 4)) == (255, 255, 255)


def test_animations_show_their_first_frame() -> None:
    """GIF and WEBP animations."""
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for options in ({"format": "GIF"}, {"format": "WEBP", "lossless": True}):
        content = encode(frames[0], save_all=True, append_images=frames[1:], **options)
        assert shown(content).getpixel((4, 4)) == (255, 0, 0)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_truncated_images_are_refused(format: str) -> None:  # noqa: A002 - Pillow's own word
    """Half a file is never answered."""
    content = encode(noise(200, 200), format)
    with pytest.raises(InvalidImage, match=r"^the image is damaged or incomplete$"):
        shown(content[: len(content) // 2])


@pytest.mark.parametrize("content", [b"hello", b"\x89PNG\r\n\x1a\n", encode(noise(4, 4), "TIFF"), b"<svg/>"])
def test_other_content_is_refused(content: bytes) -> None:
    """Text, a bare signature and formats that are not accepted: none of what is said is the library's."""
    with pytest.raises(InvalidImage, match=r"^the image is (not in|damaged)") as caught:
        parse(content)
    assert "0x" not in caught.value.message


@pytest.mark.parametrize("name", FORMATS)
def test_an_image_is_decoded_again_alike(name: str) -> None:
    """Into another array of its own."""
    parsed = parse(encode(noise(9, 7), name))
    first, second = parsed.decode(), parsed.decode()
    assert np.array_equal(first, second)
    for pixels in (first, second):
        assert pixels.flags.c_contiguous
        assert pixels.flags.writeable
    assert not np.shares_memory(first, second)


@pytest.mark.parametrize(
    ("name", "mode", "parser"),
    [
        *(("JPEG", mode, "jpeg.take_apart") for mode in ("L", "RGB", "CMYK")),
        *(("PNG", mode, "png.take_apart") for mode in ("L", "RGB", "RGBA")),
        ("GIF", "RGB", "gif.reduced"),
        ("BMP", "RGB", "Image.open"),
        ("WEBP", "RGB", "Image.open"),
    ],
)
def test_decoding_parses_nothing_again(name: str, mode: str, parser: str) -> None:
    """A file is taken apart once, its checksums are computed once, and it is opened once, if at all."""
    content = encode(noise(300, 200).convert(mode), name, exif=TURNED)
    found: list[ParsedImage] = []
    parsing = calls_of(lambda: found.append(parse(content)))
    decoding = calls_of(found[0].decode)
    assert parsing[parser] == 1
    assert parsing["Image.open"] == (0 if name == "JPEG" else 1)
    assert parsing["jpeg_segments.whole_scans"] == (1 if name == "JPEG" else 0)
    assert (parsing[CHECKSUM] > 0) == (name == "PNG")
    for again in (parser, "Image.open", "jpeg_segments.segments", "jpeg_segments.whole_scans", CHECKSUM):
        assert decoding[again] == 0, again


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_every_segment_of_a_jpeg_is_seen_once(mode: str) -> None:
    """The head of the scan twice, then the end of the image: nothing is searched for again."""
    content = encode(noise(40, 30).convert(mode), "JPEG")
    num_segments = len(list(segments(content)))
    calls = calls_of(lambda: parse(content).decode())
    assert calls["jpeg_segments._next_marker"] == num_segments + 2


def test_every_checksum_of_a_png_is_computed_once() -> None:
    """Pillow computes those of the chunks before the pixels, the header's here, for itself."""
    content = encode(noise(300, 200))
    num_chunks = 2 + content.count(b"IDAT")
    calls = calls_of(lambda: parse(content).decode())
    assert num_chunks > 3
    assert calls["png._Chunk.is_intact"] == num_chunks
    assert calls[CHECKSUM] == num_chunks + calls["PngImagePlugin._crc32"]
