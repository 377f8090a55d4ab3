"""PDFs: how many pages one has, how large each is, its picture and its text, all by PDFium.

PDFium may be called by one thread of a process at a time; the others wait here. Fonts that a PDF does not
hold are PDFium's own, where it can open none of the system's, as in a worker. Scripts and XFA forms do
nothing: this build of PDFium knows neither.
"""

import threading
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from phiserve.codecs.parsed import Pixels
from phiserve.errors import InvalidPdf

if TYPE_CHECKING:  # the library takes time and memory that no server without PDFs should spend
    from pypdfium2 import PdfPage

_HEADER = b"%PDF-"
_HEADER_WITHIN = 1024
"""Bytes within which a PDF begins. Source: PDF Reference 1.7, appendix H, note 13."""

MAX_TEXT_BYTES = 48 * 1024
"""Bytes of UTF-8 of a page's text: some fifteen times what a densely printed page holds."""

DAMAGED = "the PDF is damaged or incomplete"
NO_PAGE = "the PDF has no page"
NOT_A_PDF = "the file is not a PDF; only PDFs are read, and an image goes in as an image"
ENCRYPTED = "the PDF is encrypted, and opens with a password alone; send it without"

_PASSWORD, _SECURITY = 4, 5
"""PDFium's errors for a password that is missing, and for a way to encrypt that it does not know."""

_LEFT_OUT = ("Cc", "Cn", "Cs")
"""Unicode's categories of what is no text: control characters, no characters, halves of surrogates."""

_ONE_AT_A_TIME = threading.RLock()


@dataclass(frozen=True, slots=True)
class Outline:
    """What is known of an opened PDF: its number of pages, and (width, height) in points of some of them."""

    num_pages: int
    sizes: tuple[tuple[float, float], ...]


def recognises(content: bytes) -> bool:
    """Whether a file begins as PDFs do."""
    return _HEADER in content[:_HEADER_WITHIN]


class OpenedPdf:
    """A PDF that PDFium has opened. Pages are counted from 0, and named from 1 in errors."""

    def __init__(self, content: bytes) -> None:
        """Open a file. Raises InvalidPdf."""
        if not recognises(content):
            raise InvalidPdf(NOT_A_PDF)
        import logging

        import pypdfium2

        logging.getLogger("pypdfium2").setLevel(logging.ERROR)  # it warns of forms that it cannot show
        self._content = content  # which PDFium reads from as long as the document is open
        with _library_failures(DAMAGED):
            handle = pypdfium2.raw.FPDF_LoadMemDocument64(content, len(content), None)
            fault = 0 if handle else pypdfium2.raw.FPDF_GetLastError()
            if handle:
                self._document = pypdfium2.PdfDocument(handle)
                self._document.init_forms()
                self.num_pages = len(self._document)
        if fault in (_PASSWORD, _SECURITY):
            raise InvalidPdf(ENCRYPTED, code="pdf_encrypted")
        if not handle:
            raise InvalidPdf(DAMAGED)
        if self.num_pages < 1:
            raise InvalidPdf(NO_PAGE)

    def outline(self, pages: Sequence[int] | None, most: int) -> Outline:
        """The sizes of `pages`, or of the first `most`; of those that there are. Raises InvalidPdf."""
        chosen = range(min(self.num_pages, most)) if pages is None else pages
        sizes = tuple(self._size(page) for page in chosen if page < self.num_pages)
        return Outline(self.num_pages, sizes)

    def draw(self, page: int, size: tuple[int, int]) -> Pixels:
        """A page on white, stretched to `size` (width, height) in pixels, with what is filled in in forms.

        Raises InvalidPdf.
        """
        from pypdfium2 import raw

        width, height = size
        pixels = np.full((height, width, 3), 255, np.uint8)
        flags = raw.FPDF_ANNOT | raw.FPDF_REVERSE_BYTE_ORDER | raw.FPDF_RENDER_LIMITEDIMAGECACHE
        with self._loaded(page) as loaded:
            stride = 3 * width
            bitmap = raw.FPDFBitmap_CreateEx(width, height, raw.FPDFBitmap_BGR, pixels.ctypes.data, stride)
            try:
                raw.FPDF_RenderPageBitmap(bitmap, loaded, 0, 0, width, height, 0, flags)
                if loaded.formenv:
                    raw.FPDF_FFLDraw(loaded.formenv, bitmap, loaded, 0, 0, width, height, 0, flags)
            finally:
                raw.FPDFBitmap_Destroy(bitmap)
        return pixels

    def text(self, page: int) -> str:
        """The text that lies on a page, in the order of the file. Raises InvalidPdf, also for too much."""
        with self._loaded(page) as loaded:
            layer = loaded.get_textpage()
            too_long = layer.count_chars() > MAX_TEXT_BYTES
            found = "" if too_long else str(layer.get_text_bounded())
        kept = (
            character
            for character in found.replace("\r\n", "\n")
            if character in "\n\t" or unicodedata.category(character) not in _LEFT_OUT
        )
        text = "".join(kept).strip()
        if too_long or len(text.encode()) > MAX_TEXT_BYTES:
            limit = f"the limit is {MAX_TEXT_BYTES} bytes"
            raise InvalidPdf(f"page {page + 1} of the PDF holds too much text; {limit}", code="pdf_too_large")
        return text

    def close(self) -> None:
        """Give its memory back."""
        with _ONE_AT_A_TIME:
            self._document.close()

    def _size(self, page: int) -> tuple[float, float]:
        """The (width, height) of a page in points, as it is shown. Raises InvalidPdf."""
        with _library_failures(_damaged_page(page)):
            width, height = self._document.get_page_size(page)
        if not (isfinite(width) and isfinite(height) and width > 0 and height > 0):
            raise InvalidPdf(f"page {page + 1} of the PDF has no size")
        return float(width), float(height)

    @contextmanager
    def _loaded(self, page: int) -> Iterator["PdfPage"]:
        """A page while it is worked on. Whatever fails within is the PDF's fault: InvalidPdf."""
        with _library_failures(_damaged_page(page)):
            loaded = self._document.get_page(page)
            try:
                yield loaded
            finally:
                loaded.close()


def _damaged_page(page: int) -> str:
    return f"page {page + 1} of the PDF is damaged"


@contextmanager
def _library_failures(reason: str) -> Iterator[None]:
    """Have PDFium to oneself, and turn whatever its library raises into InvalidPdf.

    Only for its calls: any exception of theirs is the file's fault, but for memory that is used up.
    """
    with _ONE_AT_A_TIME:
        try:
            yield
        except MemoryError:
            raise
        except Exception:
            raise InvalidPdf(reason) from None
