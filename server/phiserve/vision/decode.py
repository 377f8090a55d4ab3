"""Bytes -> header -> RGB. Everything that parses a picture's file format, behind Pillow.

Errors say what is wrong in our own words: the library's may repeat addresses or file contents.
"""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from phiserve.errors import InvalidImage

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
ORIENTATION = 0x0112
"""EXIF tag."""

_SWAPS_SIDES = (5, 6, 7, 8)
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PARSER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    struct.error,
    MemoryError,
)

# The limit on pixels is checked on the header by the caller, with its own number and its own words.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True)
class Header:
    """What is known before any pixel is decoded: the size as shown (orientation applied) and the EXIF orientation, 1 to 8."""

    size: tuple[int, int]
    orientation: int


def read_header(content: bytes, param: str) -> Header:
    """Read format and size. Raises InvalidImage unless it is one of `FORMATS`."""
    with _own_words(param), Image.open(io.BytesIO(content), formats=FORMATS) as image:
        orientation = _orientation(image)
        width, height = image.size
    if min(width, height) < 1:
        raise InvalidImage(f"{param}: the picture has no pixels", param=param)
    return Header((height, width) if orientation in _SWAPS_SIDES else (width, height), orientation)


def decode_rgb(content: bytes, header: Header, param: str) -> Image.Image:
    """Decode the first frame to an upright RGB picture; transparent parts on white. Raises InvalidImage."""
    with _own_words(param), Image.open(io.BytesIO(content), formats=FORMATS) as image:
        image.load()
        upright = _to_rgb(image)
        if header.orientation in _TRANSPOSITIONS:
            upright = upright.transpose(_TRANSPOSITIONS[header.orientation])
        return upright


@contextmanager
def _own_words(param: str) -> Iterator[None]:
    try:
        yield
    except UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise InvalidImage(f"{param}: not a picture in a supported format ({known})", param=param) from None
    except _PARSER_ERRORS:
        raise InvalidImage(f"{param}: the picture is damaged or incomplete", param=param) from None


def _orientation(image: Image.Image) -> int:
    # Pillow decodes a whole PNG to look for EXIF behind the pixels; where a header must be cheap, that is not read.
    if image.format == "PNG" and not {"exif", "Raw profile type exif", "xmp"} & image.info.keys():
        return 1
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except _PARSER_ERRORS:
        return 1  # a damaged EXIF block says nothing about the pixels; viewers ignore it too
    return value if value in range(1, 9) else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        return _from_16_bit(image)
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        canvas = Image.new("RGB", picture.size, "white")
        canvas.paste(picture, mask=picture)
        return canvas
    # `convert` returns a copy even when nothing changes, and the file behind a lazy image is about to be closed
    return image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits; Pillow's own conversion clips at 255."""
    levels = np.asarray(image).astype(np.uint32)
    transparent = image.info.get("transparency")
    grey = ((np.minimum(levels, 65535) * 255 + 32767) // 65535).astype(np.uint8)
    if isinstance(transparent, int):
        grey[levels == transparent] = 255
    return Image.fromarray(grey).convert("RGB")
