"""Images for suites that would download theirs: a gradient, drawn on the spot."""

import io
from functools import cache

from PIL import Image

SIZE = (1300, 876)
"""Of vLLM's stop_sign.jpg, whose size one of its tests relies on."""


@cache
def image(extension: str) -> bytes:
    """A file of this type (`jpg` or `png`)."""
    file = io.BytesIO()
    horizontal = Image.linear_gradient("L").rotate(90).resize(SIZE)
    vertical = Image.linear_gradient("L").resize(SIZE)
    Image.merge("RGB", (horizontal, vertical, horizontal)).save(file, "JPEG" if extension == "jpg" else "PNG")
    return file.getvalue()
