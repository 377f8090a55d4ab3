"""PDFs are opened, drawn and read as PDFium does it, and refused in our words."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pypdfium2
import pytest

from images import encode, noise
from pdfs import A4, FORM, huge_image, pdf, stream, text_page
from phiserve.codecs.pdf import (
    DAMAGED,
    MAX_TEXT_BYTES,
    NO_PAGE,
    NOT_A_PDF,
    OpenedPdf,
    Outline,
    recognises,
)
from phiserve.errors import InvalidPdf

TWO = pdf(text_page("One"), text_page("Two"), sizes=((600, 800), (900, 300)))


def reason_of(content: bytes) -> str:
    """Why a file is refused."""
    with pytest.raises(InvalidPdf) as caught:
        OpenedPdf(content).outline(None, 1)
    return caught.value.reason


def test_an_outline_has_the_pages_that_are_asked_for() -> None:
    """The first ones, or those that are named and there; in their order."""
    opened = OpenedPdf(TWO)
    assert opened.outline(None, 16) == Outline(2, ((600.0, 800.0), (900.0, 300.0)))
    assert opened.outline(None, 1) == Outline(2, ((600.0, 800.0),))
    assert opened.outline((1, 0, 1, 2), 1) == Outline(2, ((900.0, 300.0), (600.0, 800.0), (900.0, 300.0)))
    opened.close()


def test_a_turned_page_is_as_it_is_shown() -> None:
    """Its width is what a reader sees."""
    turned = pdf("").replace(b"/MediaBox", b"/Rotate 90/MediaBox")
    assert OpenedPdf(turned).outline(None, 1).sizes == ((A4[1], A4[0]),)


def test_a_page_is_drawn_as_pdfium_draws_it() -> None:
    """RGB on white, where its scale is a whole number and the library's own way is the same."""
    drawn = OpenedPdf(TWO).draw(1, (1800, 600))
    with pypdfium2.PdfDocument(TWO) as document:
        expected = document[1].render(scale=2, rev_byteorder=True).to_numpy()
    assert np.array_equal(drawn, expected)
    assert drawn[0, 0].tolist() == [255, 255, 255]
    assert drawn[600 - 2 * 200, 2 * 100].tolist() == [255, 0, 0]


def test_a_page_is_stretched_to_its_size() -> None:
    """To the last pixel, whatever its proportions."""
    drawn = OpenedPdf(pdf("0 0 1 rg 0 0 595 842 re f")).draw(0, (50, 30))
    assert drawn.shape == (30, 50, 3)
    assert np.unique(drawn.reshape(-1, 3), axis=0).tolist() == [[0, 0, 255]]


def test_what_is_filled_in_is_drawn() -> None:
    """A form's fields lie above its page."""
    appearance = stream("1 0 0 rg 0 0 595 842 re f", FORM)
    content = pdf("", sizes=((200, 200),), objects=[appearance])
    field = b"/Annots[<</Type/Annot/Subtype/Widget/FT/Tx/T(a)/F 4/Rect[0 0 200 200]/AP<</N 100 0 R>>>>]"
    content = content.replace(b"/MediaBox", field + b"/MediaBox")
    content = content.replace(b"/Type/Catalog", b"/Type/Catalog/AcroForm<</Fields[]>>")
    drawn = OpenedPdf(content).draw(0, (20, 20))
    assert drawn[10, 10].tolist() == [255, 0, 0]


def test_a_page_s_text() -> None:
    """On lines of its own, without control characters and white space around it."""
    opened = OpenedPdf(pdf("BT /F 20 Tf 50 400 Td (Upper\\000 line) Tj 0 -30 Td (Lower) Tj ET", ""))
    assert opened.text(0).replace("\x00", "NUL").split("\n") == ["Upper line", "Lower"]
    assert opened.text(1) == ""


def test_too_much_text_is_refused() -> None:
    """With the limit; a page that holds less is read."""
    lines = " ".join(f"1 0 0 1 20 {800 - line} Tm ({'x' * 60}) Tj" for line in range(820))
    opened = OpenedPdf(pdf(f"BT /F 1 Tf {lines} ET"))
    with pytest.raises(
        InvalidPdf, match=f"page 1 of the PDF holds too much text.*{MAX_TEXT_BYTES} bytes"
    ) as caught:
        opened.text(0)
    assert caught.value.code == "pdf_too_large"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", NOT_A_PDF),
        (encode(noise(4, 4)), NOT_A_PDF),
        (b" " * 2000 + TWO, NOT_A_PDF),
        (b"%PDF-1.4", DAMAGED),
        (b"%PDF-1.4" + b"\0" * 5000, DAMAGED),
        (TWO[: len(TWO) // 3], DAMAGED),
        (pdf(), NO_PAGE),
        (
            TWO.replace(b"/Type/Page/Parent", b"/Type/Pgae/Prent").replace(b"4 0 obj", b"4 0 xyz"),
            "page 1 of the PDF is damaged",
        ),
    ],
    ids=["empty", "an image", "late", "a head", "nothing", "cut", "no page", "damaged page"],
)
def test_what_cannot_be_opened(content: bytes, reason: str) -> None:
    """Is refused in our own words."""
    assert reason_of(content) == reason


def test_an_earlier_pdf_is_not_to_blame() -> None:
    """PDFium keeps the last error: what is wrong with one PDF is not said of the next."""
    with pytest.raises(InvalidPdf) as caught:
        OpenedPdf(encrypted())
    assert caught.value.code == "pdf_encrypted"
    assert reason_of(pdf()) == NO_PAGE
    assert OpenedPdf(TWO).num_pages == 2


def encrypted() -> bytes:
    """A PDF that no password opens."""
    entries = f"<</Filter/Standard/V 1/R 2/P -4/O<{'41' * 32}>/U<{'42' * 32}>>>"
    return pdf("", objects=[entries]).replace(b"/Size", b"/Encrypt 100 0 R/ID[<00><00>]/Size")


def test_what_pdfium_cannot_draw_is_left_out() -> None:
    """An image of many gigabytes among it."""
    assert OpenedPdf(huge_image()).draw(0, (60, 80)).min() == 255


def test_threads_wait_for_each_other() -> None:
    """PDFium is not thread-safe: each of many threads gets what one alone gets."""
    expected = OpenedPdf(TWO).draw(0, (300, 400))

    def draw(_: int) -> bool:
        opened = OpenedPdf(TWO)
        same = np.array_equal(opened.draw(0, (300, 400)), expected) and opened.text(0) == "One"
        opened.close()
        return same

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(draw, range(64)))


def test_recognising() -> None:
    """By its head, within the first kilobyte."""
    assert recognises(TWO)
    assert recognises(b"\n" * 1000 + TWO)
    assert not recognises(b"\n" * 1024 + TWO)
