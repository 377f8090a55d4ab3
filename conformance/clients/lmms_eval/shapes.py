"""What the task shows and asks."""

from typing import Any

from PIL import Image


def images_of(sample: dict[str, Any]) -> list[Image.Image]:
    """The image of a question."""
    return [Image.open(sample["image"]).convert("RGB")]


def question_of(sample: dict[str, Any]) -> str:
    """The question."""
    return str(sample["question"])
