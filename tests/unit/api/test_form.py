"""Forms as they come: in any pieces, with any content, whole or not."""

import asyncio
import gzip
import random
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from phiserve.api.form import Form, FormPart, read_form
from phiserve.api.streaming import ClientGone
from phiserve.errors import InvalidRequest, RequestTooLarge

BOUNDARY = b"--x"
NASTY = b"\r\n----x-\r\n--\r\n----y" + bytes(range(256)) + b"\r\n----"


def part(name: str, content: bytes, filename: str | None = None, content_type: str = "") -> bytes:
    """One part of a form."""
    named = "" if filename is None else f'; filename="{filename}"'
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    head = f'--{BOUNDARY.decode()}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n{kind}\r\n'
    return head.encode() + content + b"\r\n"


END = b"--" + BOUNDARY + b"--\r\n"


def read(
    chunks: Sequence[bytes], *, max_bytes: int = 10**6, content_type: str = "", **headers: str
) -> tuple[Form, bytes]:
    """What a form has, and its file's content."""
    left: list[Message] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    left.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return left.pop(0)

    kind = content_type or f"multipart/form-data; boundary={BOUNDARY.decode()}"
    all_headers = {"content-type": kind} | {name.replace("_", "-"): value for name, value in headers.items()}
    raw = [(name.encode(), value.encode()) for name, value in all_headers.items()]
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/", "headers": raw}

    async def run() -> tuple[Form, bytes]:
        form = Form({})
        pieces = [piece async for piece in read_form(Request(scope, receive), form, "file", max_bytes)]
        assert pieces[0] is form.file
        return form, b"".join(piece for piece in pieces[1:] if isinstance(piece, bytes))

    return asyncio.run(run())


@pytest.mark.parametrize("content", [b"", b"a", NASTY, NASTY * 50, random.Random(2).randbytes(10_000)])
@pytest.mark.parametrize("size", [1, 7, 10**6])
def test_any_content_in_any_pieces(content: bytes, size: int) -> None:
    """Fields before and behind the file, whose bytes are what they were."""
    form = b"".join(
        [part("a", "é".encode()), part("file", content, "ñ.png", "image/png"), part("b[c]", b"1"), END]
    )
    found, came = read([form[start : start + size] for start in range(0, len(form), size)])
    assert found == Form({"a": "é", "b[c]": "1"}, FormPart("file", "ñ.png", "image/png"))
    assert came == content


def test_compressed() -> None:
    """As any body may be."""
    form = part("file", NASTY, "a") + END
    assert read([gzip.compress(form)], content_encoding="gzip")[1] == NASTY


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        (part("file", b"x", "a"), "The body ends before the form does"),
        (part("file", b"x", "a")[:-3], "The body ends before the form does"),
        (b"", "The body ends before the form does"),
        (b"{}", "The body is not multipart/form-data"),
        (part("a", b"1") + END, "file: a file is expected"),
        (part("file", b"1") + END, "file: a file is expected"),
        (part("other", b"1", "a") + END, "other: one file is expected, as file"),
        (part("file", b"1", "a") * 2 + END, "file: one file is expected, as file"),
        (part("a", b"1") * 2 + part("file", b"1", "a") + END, "a: this field is given twice"),
        (b"".join(part(f"a{n}", b"") for n in range(21)) + END, "a form has at most 20 fields"),
        (part("a", bytes(4097)) + END, "a: a field that is no file has at most 4096 bytes"),
        (b"----x\r\nX: y\r\n\r\n1\r\n" + END, "a part has no name"),
        (b"----x\r\nX: " + b"y" * 10_000 + b"\r\n\r\n1\r\n" + END, "header size exceeded"),
        (b"----x\r\n" + b"X: y\r\n" * 100 + b"\r\n1\r\n" + END, "header count exceeded"),
    ],
)
def test_no_form(form: bytes, reason: str) -> None:
    """What is wrong is told."""
    with pytest.raises(InvalidRequest) as caught:
        read([form] if form else [])
    assert reason in caught.value.message


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=a",
    ],
)
def test_another_type(kind: str) -> None:
    """Told before anything is read."""
    with pytest.raises(InvalidRequest, match="a form"):
        read([END], content_type=kind)


def test_no_end() -> None:
    """What comes beside the file is bounded too."""
    for endless in (
        part("file", b"x", "a") + END + bytes(2**20 + 1000),
        b"\r\n" * 2**20,
        part("file", bytes(2**21), "a"),
    ):
        with pytest.raises(RequestTooLarge):
            read([endless], max_bytes=1000)


def test_a_client_that_hangs_up() -> None:
    """Nobody is told."""

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    kind = b"multipart/form-data; boundary=a"
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": [(b"content-type", kind)],
    }

    async def run() -> None:
        async for _ in read_form(Request(scope, receive), Form({}), "file", 10):
            pass

    with pytest.raises(ClientGone):
        asyncio.run(run())
