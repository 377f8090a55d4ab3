"""Bytes -> header -> RGB: what is common to all formats. Pillow parses and decodes, JPEG apart, from files
reduced beforehand.

Errors say what is wrong in our own words: the library's may repeat addresses or file contents.
"""

import io
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image

from phiserve.codecs.bmp import checked_bmp
from phiserve.codecs.colour import to_rgb
from phiserve.codecs.formats import FORMATS, recognise
from phiserve.codecs.gif import reduced_gif
from phiserve.codecs.jpeg import decode_jpeg, rgb_pixels
from phiserve.codecs.jpeg_parts import take_apart
from phiserve.codecs.orientation import orientation_in
from phiserve.codecs.png import load_png, reduced_png
from phiserve.codecs.unreadable import DAMAGED, Unreadable
from phiserve.errors import InvalidImage
from phiserve.vision.crops import Pixels

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
_REDUCED: dict[str, Callable[[bytes], bytes]] = {
    "PNG": reduced_png,
    "GIF": reduced_gif,
    "BMP": checked_bmp,
}

# The limit on pixels is checked on the header by the caller, with its own number and its own words.
Image.MAX_IMAGE_PIXELS = None
# What is odd about a client's image is no matter for the server's log.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True, slots=True)
class Header:
    """What is known before any pixel is decoded: format, size as shown (orientation applied), and EXIF
    orientation, 1 to 8.
    """

    format: str
    size: tuple[int, int]
    orientation: int


def read_header(content: bytes, param: str, formats: Collection[str] = FORMATS) -> Header:
    """Read format and size. Raises InvalidImage unless it is one of `formats`."""
    with _own_words(param):
        name = recognise(content, formats)
        (width, height), orientation = _described(content, name)
        if min(width, height) < 1:
            raise Unreadable("has no pixels")
    return Header(name, (height, width) if orientation in _SWAPS_SIDES else (width, height), orientation)


def decode_rgb(content: bytes, header: Header, param: str) -> Image.Image:
    """Decode the first frame to an upright RGB image; transparent parts on white. Raises InvalidImage."""
    with _own_words(param):
        image = to_rgb(decode_jpeg(content) if header.format == "JPEG" else _loaded(content, header.format))
        if header.orientation in _TRANSPOSITIONS:
            image = image.transpose(_TRANSPOSITIONS[header.orientation])
        return image


def decode_pixels(content: bytes, header: Header, param: str) -> Pixels:
    """The same as an array of its own, by a shorter way where the file allows. Raises InvalidImage."""
    if header.format == "JPEG" and header.orientation not in _TRANSPOSITIONS:
        with _own_words(param):
            if (pixels := rgb_pixels(content)) is not None:
                return pixels
    return np.array(decode_rgb(content, header, param))


@contextmanager
def _own_words(param: str) -> Iterator[None]:
    try:
        yield
    except Unreadable as error:
        raise InvalidImage(f"the image {error}", param=param) from None
    except (
        Exception
    ):  # whatever a library raises over a file, from OSError to AssertionError, it is the file's fault
        raise InvalidImage(f"the image {DAMAGED}", param=param) from None


def _described(content: bytes, name: str) -> tuple[tuple[int, int], int]:
    """Size as stored, and orientation."""
    if name == "JPEG":
        parts = take_apart(content)
        return parts.size, parts.orientation
    with _opened(content, name) as image:
        return image.size, orientation_in(image.info)


def _loaded(content: bytes, name: str) -> Image.Image:
    with _opened(content, name) as image:
        if name == "PNG":
            load_png(image, content)
        else:
            image.load()
    return image


def _opened(content: bytes, name: str) -> Image.Image:
    """The file in Pillow, nothing decoded."""
    file = io.BytesIO(_REDUCED[name](content) if name in _REDUCED else content)
    if name == "HEIC":
        from pillow_heif import HeifImageFile  # installed where the settings ask for it

        return HeifImageFile(file)  # type: ignore[no-untyped-call]
    return Image.open(file, formats=(name,))
