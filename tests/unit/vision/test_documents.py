"""PDFs are read from wherever they are, within the limits, and opened once."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from images import data_url, encode, noise
from pdfs import pdf, text_page
from phiserve import codecs
from phiserve.codecs.pdf import Outline
from phiserve.core import DocumentPlaceholder
from phiserve.errors import DownloadFailed, EngineFailure, ForbiddenUrl, InvalidPdf, InvalidRequest
from phiserve.media.connector import MediaConnector
from phiserve.media.file_source import UploadedFile, no_such_file
from phiserve.media.folder import MediaFolder
from phiserve.turns import NOBODY
from phiserve.vision.decoding import ThreadDecoder
from phiserve.vision.documents import SHORT_URL, Document, DocumentReader, FileOwner
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits, RequestMeter

TWO = pdf(text_page("One"), text_page("Two"))
LIMITS = ImageLimits(max_pdf_bytes=1_000_000, max_request_bytes=1_500_000)


class CountingDecoder(ThreadDecoder):
    """Counts what it is asked, and can fail."""

    def __init__(self) -> None:
        super().__init__(codecs.parse, codecs.FORMATS)
        self.asked: list[str] = []
        self.failure: Exception | None = None

    def open_pdf(self, content: bytes, pages: Sequence[int] | None, most: int) -> Outline:
        self.asked.append("open")
        if self.failure is not None:
            raise self.failure
        return super().open_pdf(content, pages, most)

    def read_page(self, content: bytes, page: int) -> str:
        self.asked.append(f"read {page}")
        return super().read_page(content, page)


@dataclass
class OneFile:
    """An uploaded file of alice's."""

    content: bytes
    found: list[str] = field(default_factory=list)

    async def find(self, owner: str, file_id: str) -> UploadedFile:
        self.found.append(f"{owner}/{file_id}")
        if owner != "alice":
            raise no_such_file(file_id)
        return UploadedFile(file_id, "a.pdf", "application/pdf", len(self.content), file_id, self.read)

    async def read(self) -> bytes:
        return self.content


@pytest.fixture
def decoder() -> CountingDecoder:
    return CountingDecoder()


@pytest.fixture
def make_reader(decoder: CountingDecoder) -> Iterator[Callable[..., DocumentReader]]:
    """Readers over one decoder, that fetch from wherever a connector does."""
    services: list[ImageService] = []

    def make(limits: ImageLimits = LIMITS, **connections: Any) -> DocumentReader:
        services.append(ImageService(limits, 2, MediaConnector(**connections), decoder=decoder))
        return services[-1].documents

    yield make
    for service in services:
        service.close()


def read(
    reader: DocumentReader, *urls: str, file_id: str | None = None, owner: str = "", salt: str | None = None
) -> list[Any]:
    """The PDFs of one request, one after the other."""
    meter, whose = RequestMeter(LIMITS), FileOwner(NOBODY, salt, owner)
    placeholders = [
        DocumentPlaceholder(url, "auto", f"p{number}", "p", file_id=file_id)
        for number, url in enumerate(urls)
    ]

    async def run() -> list[Document | bytes]:
        return [await reader.read(placeholder, 16, meter, whose) for placeholder in placeholders]

    return asyncio.run(run())


def test_a_pdf_is_opened_once(make_reader: Callable[..., DocumentReader], decoder: CountingDecoder) -> None:
    """And known again by its hash, for the same owner."""
    reader = make_reader()
    url = data_url(TWO)
    first, second = read(reader, url, url, salt="alice")
    assert first == second
    assert (first.content, first.outline) == (TWO, Outline(2, ((595.0, 842.0),) * 2))
    assert decoder.asked == ["open"]
    (other,) = read(reader, url, salt="bob")
    assert other.digest != first.digest
    assert decoder.asked == ["open", "open"]


def test_a_page_is_read_once(make_reader: Callable[..., DocumentReader], decoder: CountingDecoder) -> None:
    """Each text is kept, an empty one too."""
    reader = make_reader()
    (document,) = read(reader, data_url(pdf(text_page("One"), "")))
    for _ in range(2):
        assert asyncio.run(reader.texts(document, (0, 1), "p", NOBODY)) == ["One", ""]
    assert sorted(decoder.asked) == ["open", "read 0", "read 1"]


def test_a_long_one_is_read_on_a_thread(make_reader: Callable[..., DocumentReader]) -> None:
    """To the same end."""
    long = TWO + b"%" * SHORT_URL
    (document,) = read(make_reader(), data_url(long))
    assert document.content == long
    assert document.outline.num_pages == 2


@pytest.mark.parametrize(
    ("url", "reason", "code"),
    [
        ("data:application/pdf,abc", "a data URL must read data:application/pdf;base64,…", "invalid_pdf"),
        ("data:application/pdf;base64,", "the file is empty", "invalid_pdf"),
        ("data:application/pdf;base64,???", "the base64 of the data URL is not valid", "invalid_pdf"),
        (
            data_url(TWO + b" " * 1_000_000),
            "the file is too large; the limit is 1000000 bytes (max_pdf_bytes)",
            "pdf_too_large",
        ),
        (
            data_url(b"no PDF"),
            "the file is not a PDF; only PDFs are read, and an image goes in as an image",
            "invalid_pdf",
        ),
    ],
    ids=["form", "empty", "base64", "large", "text"],
)
def test_refusals(make_reader: Callable[..., DocumentReader], url: str, reason: str, code: str) -> None:
    """In words for files, at the place."""
    with pytest.raises(InvalidPdf) as caught:
        read(make_reader(), url)
    assert (caught.value.reason, caught.value.code, caught.value.param) == (reason, code, "p0")


def test_all_together_have_a_limit(make_reader: Callable[..., DocumentReader]) -> None:
    """The one with which they are too large is named."""
    half = data_url(TWO + b" " * 800_000)
    with pytest.raises(InvalidPdf, match=r"1500000 bytes \(max_request_image_bytes\)") as caught:
        read(make_reader(), half, half)
    assert caught.value.param == "p1"


def test_an_image_is_left_to_others(
    make_reader: Callable[..., DocumentReader], decoder: CountingDecoder
) -> None:
    """Of whatever format, served or not: its content is read, and that is all."""
    image = encode(noise(4, 4), "AVIF")
    assert read(make_reader(), data_url(image)) == [image]
    assert decoder.asked == []


def test_files_of_the_folder(make_reader: Callable[..., DocumentReader], tmp_path: Path) -> None:
    """Where the settings have one; else they are refused, with what to do."""
    (tmp_path / "a.pdf").write_bytes(TWO)
    (tmp_path / "empty.pdf").write_bytes(b"")
    (tmp_path / "large.pdf").write_bytes(TWO + b" " * 1_000_000)
    url = (tmp_path / "a.pdf").as_uri()
    reader = make_reader(folder=MediaFolder(tmp_path, 10))
    (document,) = read(reader, url)
    assert document.content == TWO
    for name, reason in (("empty", "the file is empty"), ("large", r"\(max_pdf_bytes\)")):
        with pytest.raises(InvalidPdf, match=reason):
            read(reader, (tmp_path / f"{name}.pdf").as_uri())
    for reader_, missing in ((make_reader(), url), (reader, (tmp_path / "b.pdf").as_uri())):
        with pytest.raises(ForbiddenUrl, match="does not fetch files from there; send the file itself"):
            read(reader_, missing)


def test_what_does_not_come(make_reader: Callable[..., DocumentReader], tmp_path: Path) -> None:
    """Is told of as a file."""

    class Broken(MediaFolder):
        def read(self, url: str, max_bytes: int) -> bytes:
            raise OSError

    with pytest.raises(DownloadFailed, match="the file could not be fetched"):
        read(make_reader(folder=Broken(tmp_path, 10)), (tmp_path / "a.pdf").as_uri())


def test_uploaded_files(make_reader: Callable[..., DocumentReader]) -> None:
    """The owner's alone, within the same limit."""
    files = OneFile(TWO)
    (document,) = read(make_reader(files=files), "", file_id="file-1", owner="alice")
    assert (document.content, files.found) == (TWO, ["alice/file-1"])
    with pytest.raises(InvalidRequest, match="there is no file 'file-1'") as caught:
        read(make_reader(files=files), "", file_id="file-1", owner="bob")
    assert (caught.value.code, caught.value.param) == ("file_not_found", "p0")
    large = OneFile(TWO + b" " * 1_000_000)
    with pytest.raises(InvalidPdf, match=r"too large.*\(max_pdf_bytes\)"):
        read(make_reader(files=large), "", file_id="file-1", owner="alice")


def test_a_fault_of_ours_is_none_of_the_pdfs(
    make_reader: Callable[..., DocumentReader], decoder: CountingDecoder
) -> None:
    """A 500 at its place."""
    decoder.failure = KeyError("secret")
    with pytest.raises(EngineFailure, match=r"^p0: the server failed on this PDF$"):
        read(make_reader(), data_url(TWO))
