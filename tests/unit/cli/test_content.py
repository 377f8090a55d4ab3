"""What a person types becomes content parts."""

import base64
import os
import socket
from pathlib import Path

import pytest

from pdfs import pdf
from phiserve.cli import content
from phiserve.cli.content import PDF_URL, Detail, image_url, split_words, system_messages, user_message
from phiserve.core import DocumentPlaceholder
from phiserve.errors import StartupError
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.events import encode_json
from phiserve.protocol.parsing import parse_request
from phiserve.protocol.translation import build_conversation


def test_files_and_urls(tmp_path: Path) -> None:
    """Files are read; URLs are the server's business."""
    (tmp_path / "a.png").write_bytes(b"content")
    assert base64.b64decode(image_url(str(tmp_path / "a.png")).partition(",")[2]) == b"content"
    for url in ("https://a.example/x", "HTTPS://a.example/x", "data:image/png;base64,AA==", "file:///a"):
        assert image_url(url) == url


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """A sentence with the name."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    for name, words in (
        ("missing", "no such file"),
        ("folder", "it is a directory"),
        ("empty", "it is empty"),
        ("a\0b", "not the name"),
        ("x" * 5000, "too long"),
    ):
        with pytest.raises(StartupError, match=words) as raised:
            image_url(f"{tmp_path}/{name}")
        assert len(str(raised.value)) < 400
    with pytest.raises(StartupError, match="not the name"):
        image_url("~nobody-of-this-name/a.png")


def test_what_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that may never end, or never begin, is even opened."""
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for name, words in (
            ("/dev/zero", "a device"),
            ("/dev/null", "a device"),
            ("pipe", "a pipe"),
            ("socket", "a socket"),
        ):
            with pytest.raises(StartupError, match=f"it is {words}"):
                image_url(name)


def test_large_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that says so, nor more of one that does not."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(StartupError, match="it is too large, 64 MiB are the limit"):
        image_url(str(tmp_path / "large"))
    monkeypatch.setattr(content, "MAX_FILE_BYTES", 10)
    with pytest.raises(StartupError, match="too large"):
        image_url("/proc/self/maps")  # 0 bytes by its status


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_of_others(tmp_path: Path) -> None:
    """The system's words."""
    (tmp_path / "a.png").touch(mode=0)
    with pytest.raises(StartupError, match="permission denied"):
        image_url(str(tmp_path / "a.png"))


def test_images_and_a_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last word is the question, whatever it looks like from afar."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "image"):
        Path(name).touch()
    Path("tests").mkdir()
    long = "Why? " * 2000
    for question in (
        "What is it?",
        "tests",
        "",
        "Is a.png red, or b.png",
        "See https://a.example/ please",
        long,
    ):
        assert split_words(["a.png", "image", "https://a.example/x", question], "question") == (
            ["a.png", "image", "https://a.example/x"],
            question,
        )
    assert split_words(["~/x", "no-such.jpg", "What?"], "question")[0] == [
        "~/x",
        "no-such.jpg",
    ]  # their reading fails by itself


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.png"], 'A question must follow the images, or ""; a.png is a file'),
        (["a b.png"], "a b.png is a file"),
        (["image"], "image is a file"),
        (["a.png", "a.png"], "a.png is a file"),
        (["./tests"], "./tests is a folder"),
        (["missing.JPG"], "missing.JPG looks like one, and there is no such file"),
        (["https://a.example/x"], "https://a.example/x is an address"),
        (
            ["a.png", "What", "is", "it?"],
            "There is no image What; a question of several words goes in quotes",
        ),
        (["sch\udcf6n"], "What was typed is not text in UTF-8"),
    ],
)
def test_a_forgotten_question(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image is not taken for one, nor the words of one for images."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "a b.png", "image"):
        Path(name).touch()
    Path("tests").mkdir()
    with pytest.raises(StartupError) as raised:
        split_words(words, "question")
    assert said in str(raised.value)


def test_messages_are_a_request() -> None:
    """Images first, then the text, in a form that the server takes."""
    messages = [*system_messages("Be brief"), user_message(["data:,"], "What?", Detail.LOW)]
    request = parse_request(encode_json({"model": "m", "messages": messages}), ChatCompletionRequest)
    assert [message.role for message in request.messages] == ["system", "user"]
    content = messages[1]["content"]
    assert isinstance(content, list)
    assert [part["type"] for part in content] == ["image_url", "text"]
    assert system_messages(None) == []


def test_a_pdf_is_a_file(tmp_path: Path) -> None:
    """With its pages and its detail where they are said: other servers know neither."""
    (tmp_path / "a.pdf").write_bytes(pdf(""))
    url = image_url(str(tmp_path / "a.pdf"))
    assert base64.b64decode(url.removeprefix("data:application/pdf;base64,")) == pdf("")
    plain = user_message([url, "data:,"], "What?", Detail.AUTO)
    assert plain["content"][:2] == [  # type: ignore[index]
        {"type": "file", "file": {"file_data": url, "filename": "document.pdf"}},
        {"type": "image_url", "image_url": {"url": "data:,", "detail": "auto"}},
    ]
    chosen = user_message([url], "What?", Detail.LOW, "2-4")
    body = encode_json({"model": "m", "messages": [plain, chosen]})
    (_, _, document) = build_conversation(parse_request(body, ChatCompletionRequest).messages).shown
    assert isinstance(document, DocumentPlaceholder)
    assert (document.pages, document.detail) == ((2, 3, 4), "low")


@pytest.mark.parametrize(
    ("pages", "url", "words"),
    [("4-2", PDF_URL, "--pages: pages must be numbers"), ("1", "data:,", "--pages is for PDFs")],
)
def test_pages_that_are_none(pages: str, url: str, words: str) -> None:
    """Nothing is sent."""
    with pytest.raises(StartupError, match=words):
        user_message([url], "What?", Detail.AUTO, pages)
