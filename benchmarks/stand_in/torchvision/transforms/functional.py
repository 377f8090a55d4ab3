"""`resize` and `pad` of pictures."""

from collections.abc import Sequence

from PIL import Image, ImageOps


def resize(img: Image.Image, size: Sequence[int]) -> Image.Image:
    """Bilinear, to `size` (height, width)."""
    height, width = size
    return img.resize((width, height), Image.Resampling.BILINEAR)


def pad(img: Image.Image, padding: Sequence[int], fill: Sequence[int]) -> Image.Image:
    """Add borders of one colour: left, top, right, bottom."""
    left, top, right, bottom = padding
    red, green, blue = fill
    return ImageOps.expand(img, border=(left, top, right, bottom), fill=(red, green, blue))
