"""Files in messages of any surface: PDFs, whose pages are shown as images."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from phiserve.core import DocumentPlaceholder
from phiserve.media.connector import scheme_of

MAX_NAMED_PAGES = 10_000
"""Pages that a request may name, and the largest number of one."""

_RANGE = re.compile(r"(\d{1,5})(?:\s*-\s*(\d{1,5}))?", re.ASCII)
_FORM = 'pages must be numbers and ranges from 1, as in "1,3-5"'


def _checked_pages(text: str) -> str:
    """Raises PydanticCustomError for what names no pages."""
    try:
        named_pages(text)
    except ValueError as error:
        raise PydanticCustomError("pages", "{text}", {"text": str(error)}) from None
    return text


def _checked_data(text: str) -> str:
    """Raises PydanticCustomError for anything but a data URL."""
    if scheme_of(text) != "data":
        reason = "a file must be a data URL: data:application/pdf;base64,…"
        raise PydanticCustomError("file_data", "{text}", {"text": reason})
    return text


def named_pages(text: str) -> tuple[int, ...]:
    """The pages that a text such as "1,3-5" names, in its order. Raises ValueError."""
    pages: list[int] = []
    for item in text.split(","):
        found = _RANGE.fullmatch(item.strip())
        if found is None:
            raise ValueError(_FORM)
        first, last = int(found[1]), int(found[2] or found[1])
        if not 1 <= first <= last:
            raise ValueError(_FORM)
        if max(last, len(pages) + last - first + 1) > MAX_NAMED_PAGES:
            raise ValueError(f"pages names more than {MAX_NAMED_PAGES}")
        pages += range(first, last + 1)
    return tuple(pages)


FileData = Annotated[str, AfterValidator(_checked_data)]
"""A file as a data URL."""

Pages = Annotated[str, AfterValidator(_checked_pages)]
"""Which pages of a PDF are shown, as text such as "1,3-5"."""

FileDetail = Literal["auto", "low", "high"]
"""How closely to look at pages."""


def check_sources(**sources: str | None) -> None:
    """Raises PydanticCustomError unless exactly one of a file's fields, by their names, says where it is."""
    if sum(value is not None for value in sources.values()) != 1:
        *names, last = sources
        text = f"a file must be given by one of {', '.join(names)} and {last}"
        raise PydanticCustomError("file_source", "{text}", {"text": text})


def placed(
    part: str, detail: FileDetail | None, pages: str | None, **sources: str | None
) -> DocumentPlaceholder:
    """The placeholder of a file whose fields stand at `part`, one of `sources` saying where it is."""
    name, value = next((name, value) for name, value in sources.items() if value is not None)
    return DocumentPlaceholder(
        url="" if name == "file_id" else value,
        detail=detail or "auto",
        param=f"{part}.{name}",
        part=part,
        pages=None if pages is None else named_pages(pages),
        file_id=value if name == "file_id" else None,
    )
