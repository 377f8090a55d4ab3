"""PDFs are opened, drawn and read in workers as in threads, and harm costs its own PDF, in words for PDFs."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from pdfs import laughs, pdf, slow_page, text_page
from phiserve import codecs
from phiserve.errors import InvalidImage, InvalidPdf
from phiserve.sandbox.decoder import WorkerDecoder
from phiserve.sandbox.messages import DecodeImage, Done, Fault, OpenPdf, PageRead, ReadPage, Refused
from phiserve.sandbox.tasks import PDF_CRASHED, PDF_TOO_SLOW, Task
from phiserve.vision.decoding import DecodingFault, ThreadDecoder
from phiserve.vision.sizes import plan_crops
from unit.sandbox.conftest import LIMITS, MakeDecoder
from unit.sandbox.decoding import works

TWO = pdf(text_page("One"), text_page("Two"), sizes=((600, 800), (900, 600)))


def test_a_pdf_is_as_in_a_thread(decoder: WorkerDecoder) -> None:
    """Its outline, every pixel of its pages and their texts; in whatever order, and between images."""
    threads = ThreadDecoder(codecs.parse, LIMITS.formats)
    plan = plan_crops(900, 600, 4)
    for page in (1, 0, 1):
        assert decoder.open_pdf(TWO, (page,), 1) == threads.open_pdf(TWO, (page,), 1)
        expected = threads.draw_page(TWO, page, plan)
        assert np.array_equal(decoder.draw_page(TWO, page, plan), expected)
        assert works(decoder)
        assert np.array_equal(decoder.draw_page(TWO, page, plan), expected)
        assert decoder.read_page(TWO, page) == threads.read_page(TWO, page) == ("One", "Two")[page]


def test_an_open_pdf_is_not_taken_for_another(make_decoder: MakeDecoder) -> None:
    """A worker keeps one open: that of the job before."""
    decoder = make_decoder(workers=1)
    other = pdf(text_page("Else"))
    texts = [decoder.read_page(content, 0) for content in (TWO, other, bytes(bytearray(TWO)), TWO, other)]
    assert texts == ["One", "Else", "One", "One", "Else"]


def test_damage_is_told_as_in_a_thread(decoder: WorkerDecoder) -> None:
    """In the same words and with the same code."""
    with pytest.raises(InvalidPdf, match=r"^the PDF is damaged or incomplete$") as caught:
        decoder.open_pdf(TWO[:200], None, 1)
    assert caught.value.code == "invalid_pdf"
    with pytest.raises(InvalidPdf, match=r"^page 3 of the PDF is damaged$"):
        decoder.draw_page(TWO, 2, plan_crops(9, 9, 1))
    assert works(decoder)


@pytest.mark.parametrize(
    ("content", "reason"), [(slow_page(), PDF_TOO_SLOW), (laughs(), PDF_CRASHED)], ids=["slow", "laughs"]
)
def test_harm_costs_its_own_pdf(
    make_decoder: MakeDecoder, content: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is refused by its own reason; what is read beside it, and what comes after it, is not."""
    limits = replace(LIMITS, max_pixels=1_000_000, least_cpu_s=1 if reason == PDF_TOO_SLOW else 60)
    decoder = make_decoder(limits, workers=2)
    plan = plan_crops(595, 842, 4)
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(1) as threads:
        harm = threads.submit(decoder.draw_page, content, 0, plan)
        while not harm.done():
            assert decoder.read_page(TWO, 1) == "Two"
        error = harm.exception()
    assert isinstance(error, InvalidPdf)
    assert error.reason == reason
    assert works(decoder)
    assert "the worker that decoded the PDF with BLAKE3" in caplog.text


def test_results_and_refusals() -> None:
    """A reply that was expected is the result; refusals are of the kind that the work is about."""
    image, page = Task(DecodeImage(None)), Task(ReadPage(0))
    assert page.result(PageRead("x"), PageRead) == PageRead("x")
    with pytest.raises(InvalidPdf, match="why") as pdfs:
        page.result(Refused("why", "pdf_too_large"), PageRead)
    assert pdfs.value.code == "pdf_too_large"
    with pytest.raises(InvalidImage, match="why"):
        image.result(Refused("why", None), Done)
    with pytest.raises(DecodingFault, match="KeyError"):
        image.result(Fault("KeyError", "in f"), Done)
    with pytest.raises(DecodingFault, match="ProcessLost"):
        Task(OpenPdf(None, 1)).result(PageRead("x"), Done)
