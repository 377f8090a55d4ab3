"""Where images may come from, and how a refusal reads."""

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from phiserve.errors import ForbiddenUrl, InvalidImage, InvalidRequest, Overloaded
from phiserve.media.connector import MediaConnector, scheme_of
from phiserve.media.content_budget import ContentBudget
from phiserve.media.file_source import UploadedFile, no_such_file
from phiserve.media.folder import MediaFolder


def fetch(connector: MediaConnector, url: str) -> tuple[bytes, list[int]]:
    """The content of a URL, and the sizes told on the way."""
    arrived: list[int] = []
    return asyncio.run(connector.fetch(url, 100, arrived.append)), arrived


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("DATA:x", "data"),
        ("https://a", "https"),
        ("a.png", ""),
        ("", ""),
        ("x" * 99, ""),
        ("\r\n Data:x", "data"),
        (" https://a", " https"),
        (" " * 16 + "data:x", ""),
    ],
)
def test_scheme(url: str, scheme: str) -> None:
    """In lower case; nothing where there is none. White space before it is ignored for data alone."""
    assert scheme_of(url) == scheme


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://a.example/", "https URLs are not fetched by this server"),
        ("HTTP://a.example/", "http URLs are not fetched by this server"),
        ("file:///a", "file URLs are not fetched by this server"),
        ("ftp://a.example/", "must be a data URL"),
        ("a.png", "must be a data URL"),
        ("file:///" + "../" * 10_000, "longer than 8192 characters"),
        ("http://a.example/" + "a" * 8192, "longer than 8192 characters"),
        ("ftp://" + "../" * 10_000, "must be a data URL"),
        ("image/png;base64," + "A" * 10_000, "must be a data URL"),
        ("x" * 39, "must be a data URL"),
        ("/home/somebody/images/of/a/holiday/by/the/sea.png", "must be a data URL"),
    ],
)
def test_what_is_not_allowed(url: str, words: str) -> None:
    """Each refusal says what to send instead."""
    with pytest.raises(ForbiddenUrl, match=words):
        fetch(MediaConnector(), url)


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes])
@pytest.mark.parametrize("length", [42, 43, 100_000])
def test_base64_without_a_url_is_told(encode: Callable[[bytes], bytes], length: int) -> None:
    """Whatever its length; it is a common mistake, and a path has dots."""
    with pytest.raises(
        ForbiddenUrl, match=r"^this looks like base64 without data:image/…;base64, before it$"
    ):
        fetch(MediaConnector(), encode(bytes(range(length % 256)) * (1 + length // 256)).decode())


def test_a_folder(tmp_path: Path) -> None:
    """Files are read, and counted."""
    (tmp_path / "a").write_bytes(b"content")
    connector = MediaConnector(folder=MediaFolder(tmp_path, 60))
    assert fetch(connector, f"file://{tmp_path}/a") == (b"content", [7])
    (tmp_path / "large").write_bytes(b"x" * 101)
    with pytest.raises(InvalidImage, match="max_image_bytes"):
        fetch(connector, f"file://{tmp_path}/large")


class OneFile:
    """A source of one file, of alice's."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.num_reads = 0

    async def find(self, owner: str, file_id: str) -> UploadedFile:
        """As a keeper of files does."""
        if (owner, file_id) != ("alice", "file-1"):
            raise no_such_file(file_id)
        return UploadedFile(file_id, "a", "", len(self.content), file_id, self.read)

    async def read(self) -> bytes:
        """All of it."""
        self.num_reads += 1
        return self.content


def test_uploaded_files() -> None:
    """Their sizes are told, and held against the limit, before they are read."""
    source, arrived = OneFile(b"x" * 100), list[int]()
    connector = MediaConnector(files=source)
    assert asyncio.run(connector.uploaded("alice", "file-1", 100, arrived.append)) == b"x" * 100
    assert (arrived, source.num_reads) == ([100], 1)
    for owner, file_id, most, code in (
        ("bob", "file-1", 100, "file_not_found"),
        ("alice", "file-2", 100, "file_not_found"),
        ("alice", "file-1", 99, "image_too_large"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            asyncio.run(connector.uploaded(owner, file_id, most, arrived.append))
        assert caught.value.code == code
    source.content = b""
    with pytest.raises(InvalidImage, match="the image is empty"):
        asyncio.run(connector.uploaded("alice", "file-1", 100, arrived.append))
    assert (arrived, source.num_reads) == ([100], 1)


def test_what_is_held_at_once(tmp_path: Path) -> None:
    """However short requests are that name it: files of the folder, and uploaded ones, unread."""
    (tmp_path / "a").write_bytes(b"x" * 100)
    source = OneFile(b"y" * 100)
    connector = MediaConnector(folder=MediaFolder(tmp_path, 60), files=source, budget=ContentBudget(10, 150))

    async def uploaded() -> bytes:
        return await connector.uploaded("alice", "file-1", 100, list[int]().append)

    async def fetched() -> bytes:
        return await connector.fetch(f"file://{tmp_path}/a", 100, list[int]().append)

    for first, second in ((uploaded, fetched), (fetched, uploaded), (uploaded, uploaded)):
        held, num_reads = asyncio.run(first()), source.num_reads
        assert len(held) == connector.budget.held_bytes == 100
        with pytest.raises(Overloaded):
            asyncio.run(second())
        assert source.num_reads == num_reads
        del held
        assert connector.budget.held_bytes == 0
