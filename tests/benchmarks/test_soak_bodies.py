"""What the soak asks: every kind can be sent, and the hostile images are none."""

import io
import json
import random
from collections.abc import Callable

import pytest
from PIL import Image

from benchmarks.soak_bodies import HOSTILE, WEIGHTS, Asked, crowd, endless, fresh_image


@pytest.mark.parametrize("make", [*WEIGHTS, crowd, endless])
def test_every_kind(make: Callable[[random.Random], Asked]) -> None:
    """Two requests of a kind differ, but for their kind."""
    chance = random.Random(1)
    one, other = make(chance), make(chance)
    assert json.loads(one.content)["model"] == "bench"
    assert one.kind == other.kind
    assert one.kind in ("huge image", "mistaken body") or one.content != other.content


def test_images_of_all_formats() -> None:
    """Each can be read, and no two are alike."""
    chance = random.Random(2)
    files = [fresh_image(chance) for _ in range(40)]
    assert {Image.open(io.BytesIO(file)).format for file in files} == {"PNG", "JPEG", "WEBP", "GIF", "BMP"}
    assert len(set(files)) == len(files)


@pytest.mark.parametrize("make", HOSTILE)
def test_hostile_images(make: Callable[[random.Random], bytes]) -> None:
    """Pillow refuses each, too."""
    with (
        pytest.raises((OSError, SyntaxError, Image.DecompressionBombError)),
        Image.open(io.BytesIO(make(random.Random(3)))) as image,
    ):
        image.load()
