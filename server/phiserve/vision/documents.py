"""Reads PDFs: their content, how large their pages are and, where it is wanted, their text.

Nothing is drawn: a page is an image, which `vision.images` has drawn when the engine needs it.
"""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from cachetools import LRUCache

from phiserve.codecs.formats import is_image
from phiserve.codecs.pdf import Outline, recognises
from phiserve.core import DocumentPlaceholder, ImagePlaceholder
from phiserve.errors import DownloadFailed, ForbiddenUrl, InvalidImage, InvalidPdf
from phiserve.media.connector import MediaConnector, scheme_of
from phiserve.media.data_url import decode_data_url
from phiserve.media.web import IMAGES
from phiserve.turns import Line
from phiserve.vision.decoding import Decoder
from phiserve.vision.fair_pool import FairPool
from phiserve.vision.faults import digest_of, failures_at, faults_logged
from phiserve.vision.limits import ImageLimits, RequestMeter
from phiserve.vision.sizes import PageSize

SHORT_URL = 256 * 2**10
"""Characters or bytes up to which files are decoded from base64 and hashed on the event loop, before a
thread would have woken up."""

PARSING_COST = 0.1
"""What a byte costs to be parsed and hashed, where decoding a pixel costs 1."""

MAX_KNOWN_OUTLINES = 1024
"""Number of PDFs whose outlines are kept, by hash: what is shown again is not opened again."""

MAX_KNOWN_TEXT = 8 * 2**20
"""Characters of pages' texts that are kept."""

_ACCEPTED = f"application/pdf, {IMAGES}"
"""What servers are asked for where a file is named: one that is an image is shown as that."""

MAX_PAGES = 2000
"""Pages of one PDF that are looked at, whatever the settings allow."""


@dataclass(frozen=True, slots=True)
class Document:
    """A PDF that has been read: its content, the hash of that for its owner, and its outline."""

    content: bytes = field(repr=False)
    digest: str
    outline: Outline


@dataclass(frozen=True, slots=True, kw_only=True)
class PagePlaceholder(ImagePlaceholder):
    """A page of a PDF that has been read, shown as an image; its `url` is empty.

    `content`: the PDF's. `digest`: of the content, for the owner alone where there is one. `page`: counted
    from 0. `size`: (width, height) in pixels, as `vision.sizes.page_size` has it.
    """

    content: bytes = field(repr=False)
    digest: str
    page: int
    size: PageSize


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadImagePlaceholder(ImagePlaceholder):
    """An image that was shown as a file, and has been read as one; its `url` is empty.

    `content`: the file's.
    """

    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FileOwner:
    """Whose images and PDFs are read.

    `line`: where they wait for a thread. `cache_salt`: of their hashes. `name`: whose uploaded files they may
    be.
    """

    line: Line
    cache_salt: str | None
    name: str = ""


class DocumentReader:
    """Reads PDFs on a pool's threads. `with_text`: whether pages' texts are wanted."""

    def __init__(
        self,
        limits: ImageLimits,
        connector: MediaConnector,
        decoder: Decoder,
        pool: FairPool,
        with_text: bool = False,
    ) -> None:
        self.with_text = with_text
        self._limits = limits
        self._connector = connector
        self._decoder = decoder
        self._pool = pool
        self._outlines: LRUCache[tuple[str, tuple[int, ...] | None, int], Outline] = LRUCache(
            MAX_KNOWN_OUTLINES
        )
        self._texts: LRUCache[tuple[str, int], str] = LRUCache(MAX_KNOWN_TEXT, getsizeof=_text_size)
        self._lock = threading.Lock()

    async def read(
        self, placeholder: DocumentPlaceholder, most: int, meter: RequestMeter, owner: FileOwner
    ) -> Document | bytes:
        """A PDF with the sizes of its pages that are to be shown, the first `most` where none are named.

        Of a file that is an image, its content. Raises InvalidPdf, InvalidRequest or EngineFailure, which
        name the placeholder's `param`.
        """
        with failures_at(placeholder.param):
            if placeholder.file_id is None and scheme_of(placeholder.url) == "data":
                work = partial(self._decode, placeholder.url)
                if len(placeholder.url) > SHORT_URL:
                    cost = len(placeholder.url) * PARSING_COST
                    content = await self._pool.run(owner.line, cost, work)
                else:
                    content = work()
                self._count(meter, len(content))
            else:
                content = await self._fetched(placeholder, meter, owner)
            if not recognises(content) and is_image(content):
                return content
            pages = None if placeholder.pages is None else tuple(page - 1 for page in placeholder.pages)
            describe = partial(self._describe, content, pages, min(most, MAX_PAGES), owner)
            return await self._pool.run(owner.line, len(content) * PARSING_COST, describe)

    async def texts(self, document: Document, pages: Sequence[int], param: str, line: Line) -> list[str]:
        """The texts of pages, counted from 0. Raises InvalidPdf or EngineFailure, which name `param`."""
        with failures_at(param):
            reading = (
                self._pool.run(
                    line, len(document.content) * PARSING_COST, partial(self._text, document, page)
                )
                for page in pages
            )
            return await asyncio.gather(*reading)

    def _decode(self, url: str) -> bytes:
        """The content of a data URL. Raises InvalidPdf."""
        try:
            return decode_data_url(url, max_bytes=self._limits.max_pdf_bytes, noun="file")
        except ForbiddenUrl:
            raise InvalidPdf("a data URL must read data:application/pdf;base64,…") from None
        except InvalidImage as error:
            raise self._as_pdfs(error, error.reason) from None

    async def _fetched(
        self, placeholder: DocumentPlaceholder, meter: RequestMeter, owner: FileOwner
    ) -> bytes:
        """The content of an uploaded file, or of a URL. Raises InvalidPdf, InvalidRequest or Overloaded."""
        arrived, most = partial(self._count, meter), self._limits.max_pdf_bytes
        try:
            if placeholder.file_id is not None:
                file_id = placeholder.file_id
                return await self._connector.uploaded(owner.name, file_id, most, arrived, owner.line)
            return await self._connector.fetch(placeholder.url, most, arrived, owner.line, _ACCEPTED)
        except ForbiddenUrl:
            reason = "this server does not fetch files from there; send the file itself, as file_data"
            raise ForbiddenUrl(reason) from None
        except DownloadFailed:
            raise DownloadFailed("the file could not be fetched") from None
        except InvalidImage as error:
            raise self._as_pdfs(error, "the file is empty") from None

    def _as_pdfs(self, error: InvalidImage, reason: str) -> InvalidPdf:
        """What is wrong with a file, where an image's would be too large or, for `reason`, no image."""
        if error.code != "image_too_large":
            return InvalidPdf(reason)
        limit = f"the limit is {self._limits.max_pdf_bytes} bytes (max_pdf_bytes)"
        return InvalidPdf(f"the file is too large; {limit}", code="pdf_too_large")

    def _count(self, meter: RequestMeter, num_bytes: int) -> None:
        """Count bytes of the request's files. Raises InvalidPdf for too many of them together."""
        try:
            meter.add_bytes(num_bytes)
        except InvalidImage:
            limit = f"the limit is {self._limits.max_request_bytes} bytes (max_request_image_bytes)"
            reason = f"with this one the request's files are larger than allowed together; {limit}"
            raise InvalidPdf(reason, code="pdf_too_large") from None

    def _describe(
        self, content: bytes, pages: tuple[int, ...] | None, most: int, owner: FileOwner
    ) -> Document:
        """Open a PDF unless its outline is known by its hash. Raises InvalidPdf or EngineFailure."""
        digest = digest_of(content, owner.cache_salt)
        key = digest, pages, most
        with self._lock:
            outline = self._outlines.get(key)
        if outline is None:
            with faults_logged(content, "PDF"):
                outline = self._decoder.open_pdf(content, pages, most)
            with self._lock:
                self._outlines[key] = outline
        return Document(content, digest, outline)

    def _text(self, document: Document, page: int) -> str:
        """A page's text, read unless it is known. Raises InvalidPdf or EngineFailure."""
        key = document.digest, page
        with self._lock:
            text = self._texts.get(key)
        if text is None:
            with faults_logged(document.content, "PDF"):
                text = self._decoder.read_page(document.content, page)
            with self._lock:
                self._texts[key] = text
        return text


def _text_size(text: str) -> int:
    """What a text counts in the cache; an empty one counts too."""
    return len(text) + 1
