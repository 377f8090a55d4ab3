"""`input_image` and `input_file`, as Responses and Decisions have them, and what stands for them inside."""

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from phiserve.core import DocumentPlaceholder, ImagePlaceholder
from phiserve.protocol.documents import FileData, FileDetail, Pages, check_sources, placed
from phiserve.protocol.wire_model import WireModel


class GivenImage(WireModel):
    """`{"type": "input_image", "image_url": …, "detail": …}`, or with an uploaded file's `file_id`."""

    type: Literal["input_image"]
    file_id: str | None = None
    image_url: Annotated[str | None, Field(validate_default=True)] = None
    detail: Literal["auto", "low", "high", "original"] | None = None

    @field_validator("image_url")
    @classmethod
    def _is_one_of_two(cls, image_url: str | None, info: ValidationInfo) -> str | None:
        """Raises PydanticCustomError unless there is a URL or a file."""
        if "file_id" in info.data and image_url is None and info.data["file_id"] is None:
            raise PydanticCustomError("missing", "image_url or file_id is required")
        if image_url is not None and info.data.get("file_id") is not None:
            raise PydanticCustomError("two_images", "image_url and file_id exclude each other")
        return image_url


class GivenFile(WireModel):
    """`{"type": "input_file", "file_data": …}`: a PDF, or an image. A `filename` has no effect.

    `pages`, which OpenAI does not have, says which pages of a PDF are shown.
    """

    type: Literal["input_file"]
    file_data: FileData | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None
    pages: Pages | None = None
    detail: FileDetail | None = None

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        check_sources(file_data=self.file_data, file_id=self.file_id, file_url=self.file_url)
        return self


def placeholder_of(part: GivenImage | GivenFile, param: str) -> ImagePlaceholder | DocumentPlaceholder:
    """What stands for an image or a file whose part is at `param`."""
    if isinstance(part, GivenFile):
        sources = {"file_data": part.file_data, "file_id": part.file_id, "file_url": part.file_url}
        return placed(param, part.detail, part.pages, **sources)
    detail = part.detail or "auto"
    field = "image_url" if part.file_id is None else "file_id"
    return ImagePlaceholder(
        part.image_url or "",
        "high" if detail == "original" else detail,
        f"{param}.{field}",
        file_id=part.file_id,
    )
