"""BMP: read by Pillow, within limits on run-length encoding.

Pillow decodes run-length encoding in Python, which holds up everything else. Source: Microsoft,
BITMAPINFOHEADER.
"""

from functools import partial

from PIL import Image

from phiserve.codecs.damage import library_failures
from phiserve.codecs.parsed import ParsedImage
from phiserve.codecs.pillow import open_image, parse_by_pillow
from phiserve.errors import InvalidImage

MAX_RLE_BYTES = 2**20
MAX_RLE_PIXELS = 4_000_000

_RLE8, _RLE4 = 1, 2


def recognises(content: bytes) -> bool:
    """Whether a file begins as a BMP."""
    return content.startswith(b"BM")


def parse(content: bytes) -> ParsedImage:
    """Take a BMP apart. Raises InvalidImage, also if decoding it would take seconds."""
    header_length, width, height, compression = (
        int.from_bytes(content[offset : offset + 4], "little") for offset in (14, 18, 22, 30)
    )
    if header_length >= 40 and compression in (_RLE8, _RLE4):
        pixels = width * min(height, 2**32 - height)  # negative where the first row is the top one
        if len(content) > MAX_RLE_BYTES or pixels > MAX_RLE_PIXELS:
            limits = f"{MAX_RLE_BYTES} bytes and {MAX_RLE_PIXELS} pixels"
            raise InvalidImage(f"the image is a run-length encoded BMP beyond {limits}")
    return parse_by_pillow(partial(open_image, content, "BMP"), _load)


def _load(image: Image.Image) -> None:
    """Decode an opened BMP in place. Raises InvalidImage.

    Where all of it is transparent, it is opaque, as browsers show it: writers that know of no transparency
    leave those bits at zero, whatever their header says.
    """
    with library_failures():
        image.load()
        if image.mode == "RGBA" and image.getchannel("A").getbbox() is None:
            image.putalpha(255)
