"""What a person types becomes content parts."""

import base64
from pathlib import Path

import pytest

from phiserve.cli import content
from phiserve.cli.content import Detail, picture_url, system_messages, user_message
from phiserve.errors import StartupError
from phiserve.protocol.parsing import parse_chat_request
from phiserve.protocol.responses import encode_json


def test_files_and_urls(tmp_path: Path) -> None:
    """Files are read; URLs are the server's business."""
    (tmp_path / "a.png").write_bytes(b"content")
    assert base64.b64decode(picture_url(str(tmp_path / "a.png")).partition(",")[2]) == b"content"
    for url in ("https://a.example/x", "data:image/png;base64,AA==", "file:///a"):
        assert picture_url(url) == url


def test_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, a folder, too large: a sentence with the name."""
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(content, "MAX_FILE_BYTES", 10_000)
    (tmp_path / "large").write_bytes(bytes(10_001))
    for name, words in (
        ("missing", "no such file"),
        ("folder", "is a directory"),
        ("large", "too large"),
        ("a\0b", "not the name"),
    ):
        with pytest.raises(StartupError, match=words):
            picture_url(f"{tmp_path}/{name}")


def test_messages_are_a_request() -> None:
    """Pictures first, then the text, in a form that the server takes."""
    messages = [*system_messages("Be brief"), user_message(["data:,"], "What?", Detail.LOW)]
    request = parse_chat_request(encode_json({"model": "m", "messages": messages}))
    assert [message.role for message in request.messages] == ["system", "user"]
    assert [part["type"] for part in messages[1]["content"]] == ["image_url", "text"]
    assert system_messages(None) == []
