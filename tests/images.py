"""Images for tests: drawn, or real photographs that scikit-image and scikit-learn ship."""

import base64
import io
from collections.abc import Collection
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from phiserve.codecs import FORMATS, parse


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """An RGB image in which every pixel matters."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def encode(image: Image.Image, format: str = "PNG", **options: object) -> bytes:  # noqa: A002 - Pillow's own word
    """An image as file content."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def shown(content: bytes, formats: Collection[str] = FORMATS) -> Image.Image:
    """The image that the server sees in a file."""
    return Image.fromarray(parse(content, formats).decode())


def data_url(content: bytes, media_type: str = "image/png") -> str:
    """File content as a data URL."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def image_part(image: Image.Image | bytes, detail: str | None = None) -> dict[str, Any]:
    """An image as a content part of a message."""
    content = image if isinstance(image, bytes) else encode(image)
    image_url = {"url": data_url(content)} | ({"detail": detail} if detail else {})
    return {"type": "image_url", "image_url": image_url}


def text_part(text: str) -> dict[str, Any]:
    """Text as a content part."""
    return {"type": "text", "text": text}


@lru_cache
def photo(name: str) -> Image.Image:
    """A real photograph: `china` and `flower` (640x427), `astronaut` (512x512), `coffee` (600x400), `rocket`,
    `page` (grey).
    """
    if name in ("china", "flower"):
        from sklearn.datasets import load_sample_image

        return Image.fromarray(load_sample_image(f"{name}.jpg"))
    from skimage import data

    return Image.fromarray(getattr(data, name)())
