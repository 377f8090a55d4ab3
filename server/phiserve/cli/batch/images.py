"""Which files a folder or a pattern names, and the request that asks about one of them."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from pydantic import JsonValue, TypeAdapter, ValidationError

from phiserve.cli.batch.cells import Columns, Row, columns_of, row_of
from phiserve.cli.batch.work import LineRequest, Outcome
from phiserve.cli.content import PDF_URL, SUFFIXES, Detail, Message, image_url, user_message
from phiserve.cli.failures import reason_of
from phiserve.errors import StartupError, shortened
from phiserve.protocol.batches.lines import BatchLine, BatchUrl

URL: BatchUrl = "/v1/chat/completions"

_Object = TypeAdapter(dict[str, JsonValue])
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs="
"""A GIF of one pixel."""


@dataclass(frozen=True, slots=True)
class ImageQuestion:
    """What is asked about every image. `schema`: the form of the answers; `pages`: those of PDFs."""

    question: str
    system: Sequence[Message] = ()
    schema: dict[str, JsonValue] | None = None
    detail: Detail = Detail.AUTO
    pages: str | None = None
    max_tokens: int | None = None
    temperature: float = 0.0

    @property
    def columns(self) -> Columns:
        """Those of the answers. Raises StartupError."""
        return columns_of(self.schema)

    def row(self, file: str, outcome: Outcome) -> Row:
        """What has been answered about a file."""
        return row_of(file, outcome, self.columns)

    def request(self, file: str, model: str) -> LineRequest:
        """The request about one file, which is read. Raises StartupError where it can't be."""
        return self.about(image_url(file), model)

    def line(self, model: str) -> BatchLine:
        """The request about a small image, as a line that stands for them all where they are checked."""
        request = self.about(PIXEL, model)
        return BatchLine(1, "", request.url, request.body, model, "")

    def about(self, url: str, model: str) -> LineRequest:
        """The request about an image or a PDF by its URL."""
        pages = self.pages if url.startswith(PDF_URL) else None
        body: dict[str, object] = {
            "model": model,
            "messages": [*self.system, user_message([url], self.question, self.detail, pages)],
            "temperature": self.temperature,
        }
        if self.max_tokens is not None:
            body["max_completion_tokens"] = self.max_tokens
        if self.schema is not None:
            form = {"name": "row", "schema": self.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        return LineRequest(URL, msgspec.json.encode(body))


def read_schema(file: Path | None) -> dict[str, JsonValue] | None:
    """A schema from its file. Raises StartupError."""
    if file is None:
        return None
    try:
        return _Object.validate_json(file.read_bytes())
    except OSError as error:
        raise StartupError(f"{file} cannot be read: {reason_of(error)}") from None
    except ValidationError:
        raise StartupError(f"{file} is no JSON schema: it must hold an object") from None


def image_files(named: Sequence[str]) -> list[str]:
    """All files that folders, patterns and names stand for, each once, in the order of their names.

    Of a folder, the images and PDFs in it, by their suffixes; `**` in a pattern means folders in folders too.
    Raises StartupError for what names none.
    """
    files: set[str] = set()
    for name in named:
        found = [file for file in _files(os.path.expanduser(name)) if not os.path.isdir(file)]
        if not found:
            raise StartupError(f"There is no image {shortened(name)}")
        files.update(found)
    return sorted(files)


def _files(name: str) -> Iterator[str]:
    if os.path.isdir(name):
        yield from (str(file) for file in Path(name).iterdir() if file.name.lower().endswith(SUFFIXES))
    elif os.path.lexists(name):
        yield name
    else:
        yield from glob.iglob(name, recursive=True)
