"""Files in messages: which pages are named, where a file is, and what is refused by its place."""

import json

import pytest
from pydantic_core import PydanticCustomError

from images import data_url
from pdfs import file_part
from phiserve.core import DocumentPlaceholder
from phiserve.errors import InvalidRequest
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.documents import check_sources, named_pages, placed
from phiserve.protocol.parsing import parse_request
from phiserve.protocol.responses.request import ResponsesRequest
from phiserve.protocol.responses.translation import conversation_of
from phiserve.protocol.translation import build_conversation

PART = "input[0].content[0]"
URL = "data:application/pdf;base64,AA=="


@pytest.mark.parametrize(
    ("text", "pages"),
    [
        ("1", (1,)),
        ("2-4", (2, 3, 4)),
        (" 3 , 1 - 2,3", (3, 1, 2, 3)),
        ("7-7", (7,)),
        ("10000", (10_000,)),
    ],
)
def test_named_pages(text: str, pages: tuple[int, ...]) -> None:
    """Numbers and ranges, in the order in which they are named."""
    assert named_pages(text) == pages


@pytest.mark.parametrize(
    "text", ["", "0", "2-1", "a", "1,", "-3", "1-", "1..3", "²", "10001", "1-10000,1", "99999999999", "1-2-3"]
)
def test_what_names_no_pages(text: str) -> None:
    """Is refused, and so are more than anybody could mean."""
    with pytest.raises(ValueError, match="pages"):
        named_pages(text)


def test_one_source() -> None:
    """A file is in one place."""
    check_sources(file_data="a", file_id=None)
    for sources in ({"file_data": None, "file_id": None}, {"file_data": "a", "file_id": "b"}):
        with pytest.raises(PydanticCustomError, match="one of file_data and file_id"):
            check_sources(**sources)


def test_places() -> None:
    """Of a file's value, and of what is said of it."""
    assert placed("a.file", None, None, file_data=URL, file_id=None) == DocumentPlaceholder(
        URL, "auto", "a.file.file_data", "a.file"
    )
    assert placed("p", "low", "2-3", file_data=None, file_id="file-1") == DocumentPlaceholder(
        "", "low", "p.file_id", "p", (2, 3), "file-1"
    )


def chat_body(part: object) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": [part]}]}).encode()


def responses_body(part: object) -> bytes:
    return json.dumps({"input": [{"role": "user", "content": [part]}]}).encode()


def test_a_chat_s_file() -> None:
    """As OpenAI's client sends it, and with what is ours."""
    request = parse_request(chat_body(file_part(b"x", pages="1", detail="high")), ChatCompletionRequest)
    (shown,) = build_conversation(request.messages).shown
    url = data_url(b"x", "application/pdf")
    param = "messages[0].content[0].file"
    assert shown == DocumentPlaceholder(url, "high", f"{param}.file_data", param, (1,))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"file_data": URL},
            DocumentPlaceholder(URL, "auto", f"{PART}.file_data", PART),
        ),
        (
            {"file_url": "https://a.example/b.pdf", "detail": "low", "pages": "2"},
            DocumentPlaceholder("https://a.example/b.pdf", "low", f"{PART}.file_url", PART, (2,)),
        ),
        (
            {"file_id": "file-1", "filename": "b.pdf"},
            DocumentPlaceholder("", "auto", f"{PART}.file_id", PART, None, "file-1"),
        ),
    ],
)
def test_a_response_s_file(fields: dict[str, str], expected: DocumentPlaceholder) -> None:
    """By its data, its address or its id."""
    body = responses_body({"type": "input_file", **fields})
    assert conversation_of(parse_request(body, ResponsesRequest)).shown == (expected,)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "file: a file must be given by one of file_data and file_id"),
        ({"file_data": URL, "file_id": "f"}, "file: a file must be given by one of file_data and file_id"),
        (
            {"file_data": "JVBERi0="},
            "file.file_data: a file must be a data URL: data:",
        ),
        ({"file_data": "https://a.example/b.pdf"}, "file.file_data: a file must be a data URL"),
        ({"file_data": URL, "pages": "0"}, "file.pages: pages must be numbers and ranges from 1"),
        ({"file_data": URL, "detail": "original"}, "file.detail: must be 'auto', 'low' or 'high'"),
        ({"file_url": "https://a.example/b.pdf"}, "file.file_url: this parameter is unknown"),
    ],
)
def test_refusals_of_chat(fields: dict[str, str], message: str) -> None:
    """At the place of what is wrong."""
    with pytest.raises(InvalidRequest) as caught:
        parse_request(chat_body({"type": "file", "file": fields}), ChatCompletionRequest)
    assert caught.value.message.startswith(f"messages[0].content[0].{message}")


def test_refusals_of_responses() -> None:
    """The same, one level up."""
    for fields, message in (
        ({}, "a file must be given by one of file_data, file_id and file_url"),
        ({"file_data": URL, "file_url": "https://a.example"}, "a file must be given by one of"),
    ):
        with pytest.raises(InvalidRequest, match=message) as caught:
            parse_request(responses_body({"type": "input_file", **fields}), ResponsesRequest)
        assert caught.value.param == PART
