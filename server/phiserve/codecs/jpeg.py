"""JPEG: decoded by libjpeg-turbo with its warnings taken as errors, from a file reduced to what its first
image depends on.

Pillow uses the same library, and pixels are equal; but it passes over the warnings (a code that is none, a
scan that ends early, data left over) and shows grey or shifted blocks. Warnings about anything else than
pixels never come: see `codecs.jpeg_parts`.
"""

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from phiserve.codecs.jpeg_parts import JpegParts, take_apart


def decode_jpeg(content: bytes) -> Image.Image:
    """The image, L, RGB or CMYK, its profile in `info`. Raises Unreadable, or ValueError where libjpeg warns
    or fails.
    """
    parts = take_apart(content)
    image = _image(_decode(parts), parts.mode)
    image.info["icc_profile"] = parts.profile
    return image


def rgb_pixels(content: bytes) -> NDArray[np.uint8] | None:
    """(height, width, 3) of an image in colours, with no copy in Pillow's memory; None for grey and inks.
    Raises the same.
    """
    parts = take_apart(content)
    return _decode(parts) if parts.mode == "RGB" else None


def _decode(parts: JpegParts) -> NDArray[np.uint8]:
    try:
        return _decode_strictly(parts.file, parts.mode)
    except ValueError:  # damage, or just padding: without it the scan must end where the image does
        file = parts.file_without_padding
        if file is None:
            raise
        return _decode_strictly(file, parts.mode)


def _decode_strictly(file: bytes, mode: str) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(file, "GRAY" if mode == "L" else mode, strict=True)
    return pixels


def _image(pixels: NDArray[np.uint8], mode: str) -> Image.Image:
    if mode != "CMYK":
        return Image.fromarray(pixels.squeeze(2) if mode == "L" else pixels)
    # Adobe writes ink as what is left of white, and so does everyone since, marked or not
    return Image.fromarray(np.subtract(255, pixels, out=pixels), mode)
