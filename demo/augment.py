"""What happens to pictures on their way to a server: other formats, shades of grey."""

import random
from io import BytesIO

from PIL import Image

from demo.canvas import Canvas, seen
from phiserve.vision.crops import Crops


def augmented(canvas: Canvas, rng: random.Random) -> Crops:
    """The picture as the model sees it, now and then as a JPEG or in grey."""
    picture = canvas.picture
    if canvas.glyphs and rng.random() < 0.05:
        picture = picture.convert("L")
    if rng.random() < 0.15:
        picture = _as_jpeg(picture, rng.randint(75, 95))
    return seen(picture)


def _as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)
