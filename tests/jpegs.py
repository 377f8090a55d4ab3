"""JPEGs for tests, and ways to see them."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from images import encode, photo
from phiserve.codecs.jpeg import decode_components, take_apart

PHOTO = encode(photo("china"), "JPEG")
PROGRESSIVE = encode(photo("china"), "JPEG", progressive=True)


def by_pillow(content: bytes) -> Image.Image:
    """The image as Pillow decodes it by itself."""
    with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
        image.load()
    return image


def components(content: bytes) -> NDArray[np.uint8]:
    """Grey, colours or amounts of ink as they are decoded, in the shape of Pillow's array."""
    decoded = decode_components(take_apart(content))
    return decoded[..., 0] if decoded.shape[2] == 1 else decoded
