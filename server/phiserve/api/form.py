"""`multipart/form-data` as it comes: short fields, and one file, which is handed on piece by piece."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from phiserve.api.body import decoded_body
from phiserve.api.header import header_of
from phiserve.errors import InvalidRequest, RequestTooLarge, shortened
from phiserve.files.limits import BESIDE_BYTES

MAX_FIELDS = 20
MAX_FIELD_BYTES = 4096
"""Of a field that is no file."""


@dataclass(frozen=True, slots=True)
class FormPart:
    """The beginning of a part. `filename` is None for a field that is no file."""

    name: str
    filename: str | None
    content_type: str


@dataclass(frozen=True, slots=True)
class _PartEnd:
    """The end of a part."""


_Event = FormPart | bytes | _PartEnd


class _Events:
    """What a parser finds, in order: `MultipartParser` calls, and this remembers."""

    def __init__(self, boundary: bytes) -> None:
        self._found: list[_Event] = []
        self._data = bytearray()
        self.is_whole = False
        self._name, self._value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self.parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_part,
                "on_part_data": lambda data, start, end: self._data.extend(data[start:end]),
                "on_part_end": lambda: self._add(_PartEnd()),
                "on_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> list[_Event]:
        """What a chunk of the body brings. Raises InvalidRequest."""
        try:
            self.parser.write(chunk)
        except FormParserError as error:
            reason = f"The body is not multipart/form-data: {error}"
            raise InvalidRequest(reason, code="invalid_body") from None
        self._end_data()
        found, self._found = self._found, []
        return found

    def _add(self, event: _Event) -> None:
        self._end_data()
        self._found.append(event)

    def _end_data(self) -> None:
        """What a parser cuts wherever a boundary might begin is one piece again."""
        if self._data:
            self._found.append(bytes(self._data))
            self._data.clear()

    def _end_header(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _begin_part(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition"))
        if kind != b"form-data" or b"name" not in options:
            raise FormParserError("a part has no name")
        filename = options.get(b"filename")
        self._add(
            FormPart(
                options[b"name"].decode(errors="replace"),
                None if filename is None else filename.decode(errors="replace"),
                self._headers.get(b"content-type", b"").decode("latin-1"),
            )
        )

    def _end(self) -> None:
        self.is_whole = True


@dataclass(slots=True)
class Form:
    """The parts of a form. Iterate `file` to its end; `fields` are those that have come until then."""

    fields: dict[str, str]
    file: FormPart | None = None

    def add_field(self, part: FormPart, value: bytes) -> None:
        """A field that has come. Raises InvalidRequest for one too many."""
        if part.name in self.fields:
            raise InvalidRequest("this field is given twice", param=shortened(part.name))
        if len(self.fields) == MAX_FIELDS:
            raise InvalidRequest(f"a form has at most {MAX_FIELDS} fields", code="invalid_body")
        self.fields[part.name] = value.decode(errors="replace")


async def read_form(
    request: Request, form: Form, file_field: str, max_bytes: int
) -> AsyncGenerator[FormPart | bytes, None]:
    """Fill a form with what comes; its file's beginning and its content are handed on, piece by piece.

    Raises RequestTooLarge for much more than `max_bytes`, the most that a file may have; InvalidRequest for
    what is no form, for two files, and for a form that ends too soon; UnsupportedCoding, and ClientGone if
    the client hangs up.
    """
    part, value = None, b""
    async for event in _events(request, max_bytes + BESIDE_BYTES):
        match event:
            case FormPart():
                part, value = event, b""
                if event.filename is None:
                    continue
                if event.name != file_field or form.file is not None:
                    raise InvalidRequest(
                        f"one file is expected, as {file_field}", param=shortened(event.name)
                    )
                form.file = event
                yield event
            case bytes() if part is form.file:
                yield event
            case bytes():
                value += event
                if len(value) > MAX_FIELD_BYTES:
                    reason = f"a field that is no file has at most {MAX_FIELD_BYTES} bytes"
                    raise InvalidRequest(reason, param=shortened(part.name if part else ""))
            case _PartEnd() if part is not None and part.filename is None:
                form.add_field(part, value)
    if form.file is None:
        raise InvalidRequest("a file is expected", param=file_field, code="missing_required_parameter")


async def _events(request: Request, max_bytes: int) -> AsyncGenerator[_Event, None]:
    events, size = _Events(_boundary(request)), 0
    async with aclosing(decoded_body(request)) as chunks:
        async for chunk in chunks:
            size += len(chunk)
            if size > max_bytes:
                raise RequestTooLarge(f"The request body is too large; the limit is {max_bytes} bytes")
            for event in events.feed(chunk):
                yield event
    if not events.is_whole:
        raise InvalidRequest("The body ends before the form does", code="invalid_body")


def _boundary(request: Request) -> bytes:
    """Raises InvalidRequest where the body is said to be something else than a form."""
    kind, options = parse_options_header(header_of(request.scope, b"content-type") or "")
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= 256:
        raise InvalidRequest("a form (multipart/form-data) is expected", param="content-type")
    return boundary
