"""What stands for images and files that Responses and Decisions are given."""

import pytest
from pydantic import ValidationError

from phiserve.core import DocumentPlaceholder, ImagePlaceholder
from phiserve.protocol.input_parts import GivenFile, GivenImage, placeholder_of

PDF = "data:application/pdf;base64,AAAA"


def test_images() -> None:
    """By their URL or their file; OpenAI's `original` is looked at as closely as can be."""
    by_url = GivenImage(type="input_image", image_url="data:,", detail="original")
    assert placeholder_of(by_url, "p") == ImagePlaceholder("data:,", "high", "p.image_url")
    by_id = GivenImage(type="input_image", file_id="file-1")
    assert placeholder_of(by_id, "p") == ImagePlaceholder("", "auto", "p.file_id", file_id="file-1")


def test_files() -> None:
    """By what says where they are."""
    given = GivenFile(type="input_file", file_data=PDF, pages="2-3", detail="low", filename="a.pdf")
    assert placeholder_of(given, "p") == DocumentPlaceholder(PDF, "low", "p.file_data", "p", (2, 3))
    by_id = GivenFile(type="input_file", file_id="file-1")
    assert placeholder_of(by_id, "p") == DocumentPlaceholder("", "auto", "p.file_id", "p", None, "file-1")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "image_url or file_id is required"),
        ({"image_url": None, "file_id": None}, "image_url or file_id is required"),
        ({"image_url": "data:,", "file_id": "file-1"}, "exclude each other"),
    ],
)
def test_one_of_two(fields: dict[str, str | None], said: str) -> None:
    """Is needed, and no more."""
    with pytest.raises(ValidationError, match=said):
        GivenImage.model_validate({"type": "input_image", **fields})
    files = {{"image_url": "file_data"}.get(name, name): value and PDF for name, value in fields.items()}
    with pytest.raises(ValidationError, match="must be given by one of"):
        GivenFile.model_validate({"type": "input_file", **files})
