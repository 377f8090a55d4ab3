"""JPEGs for tests, and two ways to see them."""

import io

from PIL import Image

from phiserve.vision.decode import decode_rgb, read_header
from pictures import encode, photo

PHOTO = encode(photo("china"), "JPEG")
PROGRESSIVE = encode(photo("china"), "JPEG", progressive=True)


def by_pillow(content: bytes) -> Image.Image:
    """The picture as Pillow decodes it by itself."""
    with Image.open(io.BytesIO(content), formats=("JPEG",)) as picture:
        picture.load()
    return picture


def shown(content: bytes) -> Image.Image:
    """The picture as it is answered."""
    return decode_rgb(content, read_header(content, "image"), "image")
