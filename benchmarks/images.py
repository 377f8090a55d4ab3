"""Images drawn for measurements: always the same one for a number, and another one for every number."""

import base64
import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

_BLOCK = 8
_BITS = 24
"""A number is stamped as this many black or white blocks: pixels differ, so that no cache takes one image for
another."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Size (width, height) in pixels, and file format. Every kind is at least 192 pixels wide, for the
    stamp.
    """

    size: tuple[int, int]
    format: str = "JPEG"

    @property
    def media_type(self) -> str:
        """For `data:` URLs."""
        return f"image/{self.format.lower()}"


KINDS = {
    "small PNG": Kind((200, 150), "PNG"),
    "640x480": Kind((640, 480)),
    "1 MP": Kind((1152, 864)),
    "4 MP": Kind((2304, 1728)),
    "12 MP": Kind((4000, 3000)),
    "24 MP": Kind((5632, 4224)),
}
"""All are 4:3, so that they come to the same crops and only what happens before differs."""


def draw(kind: str, number: int) -> bytes:
    """A photograph-like image, as file content: blurred noise, at quality 90. `number` is below 2**24."""
    pixels = _ground(kind).copy()
    for bit in range(_BITS):
        pixels[:_BLOCK, bit * _BLOCK : (bit + 1) * _BLOCK] = 255 if number >> bit & 1 else 0
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, KINDS[kind].format, quality=90)
    return buffer.getvalue()


def data_url(kind: str, number: int) -> str:
    """The same as a `data:` URL."""
    return f"data:{KINDS[kind].media_type};base64,{base64.b64encode(draw(kind, number)).decode()}"


def redrawn(photo: bytes, number: int) -> bytes:
    """A JPEG file of `draw` with other pixels for each number below 62,001, at no cost: two steps in which
    its brightness was quantised are other ones. Raises ValueError for what is no JPEG file.
    """
    table = photo.index(b"\xff\xdb") + 5
    high, low = divmod(number, 249)
    return photo[: table + 1] + bytes([1 + high, 1 + low]) + photo[table + 3 :]


@lru_cache(maxsize=2)
def _ground(kind: str) -> NDArray[np.uint8]:
    width, height = KINDS[kind].size
    noise = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2)).resize((width, height)))
