"""JPEGs for tests, and two ways to see them."""

import io

from PIL import Image

from images import encode, photo
from phiserve.codecs.decode import decode_rgb, read_header

PHOTO = encode(photo("china"), "JPEG")
PROGRESSIVE = encode(photo("china"), "JPEG", progressive=True)


def by_pillow(content: bytes) -> Image.Image:
    """The image as Pillow decodes it by itself."""
    with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
        image.load()
    return image


def shown(content: bytes) -> Image.Image:
    """The image as it is answered."""
    return decode_rgb(content, read_header(content, "image"), "image")
