"""Images are the same for a number, and other ones for other numbers, down to the pixels."""

import io
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from benchmarks.images import KINDS, data_url, draw, redrawn
from phiserve.vision.sizes import plan_crops

NUMBERS = (0, 1, 2, 255, 2**23, 2**24 - 1)


@pytest.mark.parametrize("kind", ["small PNG", "640x480"])
def test_same_and_different(kind: str) -> None:
    """vLLM's cache goes by pixels, ours by bytes: both differ."""
    files = [draw(kind, number) for number in NUMBERS]
    assert files == [draw(kind, number) for number in NUMBERS]
    pixels = [np.asarray(Image.open(io.BytesIO(file))) for file in files]
    assert not any(np.array_equal(one, other) for one, other in combinations(pixels, 2))


def test_all_kinds_come_to_the_same_crops() -> None:
    """Only what happens before differs."""
    assert {plan_crops(*kind.size, 16).num_crops for kind in KINDS.values()} == {12}


def test_as_a_url() -> None:
    assert data_url("small PNG", 1).startswith("data:image/png;base64,iVBOR")
    assert data_url("640x480", 1).startswith("data:image/jpeg;base64,/9j/")


def test_redrawn_photos_are_other_images() -> None:
    """Each number's has pixels of its own, and is read like the first."""
    photo = draw("640x480", 0)
    pixels = {
        np.asarray(Image.open(io.BytesIO(redrawn(photo, number)))).tobytes() for number in (0, 1, 249, 62_000)
    }
    assert len(pixels) == 4
    with pytest.raises(ValueError, match="256"):
        redrawn(photo, 64_000)
    with pytest.raises(ValueError, match="not found"):
        redrawn(b"no JPEG", 0)
