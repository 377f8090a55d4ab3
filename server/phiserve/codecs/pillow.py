"""Formats that Pillow parses and decodes."""

import io
import warnings
from collections.abc import Callable

from PIL import Image

from phiserve.codecs.colour import to_pixels
from phiserve.codecs.damage import library_failures
from phiserve.codecs.orientation import orientation_in
from phiserve.codecs.parsed import ParsedImage, Pixels

# The limit on pixels is checked against the size by the caller, with its own number and its own words.
Image.MAX_IMAGE_PIXELS = None
# What is odd about a client's image is no matter for the server's log.
warnings.filterwarnings("ignore", module=r"PIL\.")


def open_image(file: bytes, name: str) -> Image.Image:
    """A file of the format that Pillow calls `name`, opened by Pillow; nothing is decoded.

    Raises whatever Pillow raises.
    """
    return Image.open(io.BytesIO(file), formats=(name,))


def parse_by_pillow(
    open_file: Callable[[], Image.Image], load: Callable[[Image.Image], None] | None = None
) -> ParsedImage:
    """Parse the file that `open_file` opens with Pillow. Raises InvalidImage.

    `load` decodes the opened image in place, for formats where `Image.load` is not enough. The first decoding
    uses the image that was opened for its size, and a further one opens the file again: an image once loaded
    would keep all of its pixels in memory.
    """
    with library_failures():
        image = open_file()
        size, info = image.size, image.info
    opened = [image]

    def decode() -> Pixels:
        """As `ParsedImage.decode_stored`."""
        try:
            image = opened.pop()
        except IndexError:
            with library_failures():
                image = open_file()
        if load is not None:
            load(image)
        return to_pixels(image)

    return ParsedImage(size, orientation_in(info), decode)
