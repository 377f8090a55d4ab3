"""Every PDF of pypdfium2's and pikepdf's own tests, and some that were made to do harm, asked about over all
but the engine: the page as PDFium draws it, or a 400 in our words.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import httpx
import pytest

from pdfs import collection, file_part, huge_image, laughs, pdf, slow_page
from phiserve.api.app import create_app
from phiserve.api.services import Services
from phiserve.chat.encoder import PromptEncoder
from phiserve.codecs.pdf import DAMAGED, ENCRYPTED, NO_PAGE, NOT_A_PDF
from phiserve.load import Load
from phiserve.pipeline import Pipeline
from phiserve.preparation import PromptLimits, PromptPreparer
from phiserve.sandbox.decoder import WorkerDecoder
from phiserve.sandbox.limits import WorkerLimits
from phiserve.sandbox.tasks import PDF_CRASHED, PDF_TOO_SLOW
from phiserve.sandbox.worker import PDF_TOO_MUCH_MEMORY
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits
from scripted import ScriptedEngine
from tally import hold_against_page, kind_of
from wire import ANSWER

PLACE = "messages[0].content[0].file.file_data: "
OUR_WORDS = [
    *map(re.escape, (DAMAGED, ENCRYPTED, NO_PAGE, NOT_A_PDF)),
    *map(re.escape, (PDF_CRASHED, PDF_TOO_SLOW, PDF_TOO_MUCH_MEMORY)),
    r"page \d+ of the PDF( is damaged| has no size|, [\d.e+]+ x [\d.e+]+ points, is too thin; .*)",
    r"the PDF has \d+ pages, each an image, and so the request has \d+ images; the limit is 16 "
    r"\(max_images\)\. Name fewer pages in messages\[0\]\.content\[0\]\.file\.pages",
    r"the file is empty",
]
"""All that is said of PDFs: nothing of a library's, no path, no address."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered about a PDF."""

    name: str
    status: int
    message: str
    code: str

    @property
    def is_proper(self) -> bool:
        """A 200, or a 400 in our own words, at the file's place."""
        words = PLACE.replace("[", r"\[").replace("]", r"\]") + f"({'|'.join(OUR_WORDS)})"
        return self.status == 200 or (self.status == 400 and re.fullmatch(words, self.message) is not None)


@pytest.fixture(scope="module")
def decoder() -> Iterator[WorkerDecoder]:
    """Closed off as in a server, with less memory and time, so that what exceeds them does so soon."""
    decoder = WorkerDecoder(WorkerLimits(max_pixels=8_000_000, least_cpu_s=3, patience=60), 2)
    decoder.start()
    yield decoder
    decoder.close()


@pytest.fixture
def services(
    decoder: WorkerDecoder, encoder: PromptEncoder, make_services: Callable[..., Services]
) -> Services:
    """A server that answers one word, having loaded the crops of all pages; and reads their texts."""
    engine = ScriptedEngine(ANSWER)
    images = ImageService(ImageLimits(), workers=2, decoder=decoder, with_page_text=True)
    preparer = PromptPreparer(encoder, images, PromptLimits(32_000, 4, 16, 64))
    return replace(
        make_services(engine),
        pipeline=Pipeline(engine, preparer, images, Load(64, 256, 60), max_choices=1),
        preparer=preparer,
    )


def answers(services: Services, files: dict[str, bytes]) -> list[Answer]:
    """What is answered about each file, one after the other."""

    async def ask(client: httpx.AsyncClient, name: str, content: bytes) -> Answer:
        message = {"role": "user", "content": [file_part(content)]}
        response = await client.post("/v1/chat/completions", json={"model": "m", "messages": [message]})
        error = response.json().get("error", {})
        return Answer(name, response.status_code, error.get("message", ""), error.get("code", ""))

    async def run() -> list[Answer]:
        transport = httpx.ASGITransport(create_app(services), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return [await ask(client, name, content) for name, content in files.items()]

    return asyncio.run(run())


def kinds(outcomes: list[Answer]) -> list[str]:
    """Rows of the tally, without the numbers that each has of its own."""
    rows = (kind_of(outcome.status, outcome.code, outcome.message) for outcome in outcomes)
    return [
        re.sub(r"\b\d+ (pages|images)\b", r"… \1", re.sub(r"page \d+ of", "page … of", row)) for row in rows
    ]


def test_other_people_s_test_files(services: Services, pytestconfig: pytest.Config) -> None:
    """Nearly all are shown; what is encrypted, damaged or has no page is told so."""
    files = {f"{path.parent.name}/{path.name}": path.read_bytes() for path in collection(pytestconfig)}
    outcomes = answers(services, files)
    assert [outcome for outcome in outcomes if not outcome.is_proper] == []
    assert len(outcomes) > 70
    refused = {outcome.name.partition("/")[2]: outcome.code for outcome in outcomes if outcome.status != 200}
    assert refused == {
        "378014596.pdf": "invalid_pdf",
        "encrypted.pdf": "pdf_encrypted",
        "graph-encrypted.pdf": "pdf_encrypted",
        "newline-buffer-test.pdf": "invalid_pdf",
    }
    hold_against_page("pdfs", kinds(outcomes))


def test_hostile_ones(services: Services) -> None:
    """Each is refused or shown, in its time; and a PDF that is well is shown afterwards."""
    whole = pdf("0 0 99 99 re f", "", sizes=((300, 400), (400, 300)))
    files = {
        "nothing": b"",
        "text": b"Hello",
        "a head": b"%PDF-1.7\n",
        "cut": whole[:250],
        "zeros": b"%PDF-1.7\n" + bytes(100_000),
        "no page": pdf(),
        "many pages": pdf(*["0 0 1 1 re f"] * 5000),
        "no size": pdf("", sizes=((0, 0),)),
        "vast": pdf("0 0 9 9 re f", sizes=((1e9, 1e9),)),
        "thin": pdf("", sizes=((1, 10_000),)),
        "a page tree in a circle": whole.replace(b"/Kids[4 0 R 6 0 R]", b"/Kids[2 0 R 2 0 R]"),
        "an image of gigabytes": huge_image(),
        "forms in forms": laughs(),
        "slow": slow_page(20_000),
    }
    outcomes = answers(services, files)
    assert [outcome for outcome in outcomes if not outcome.is_proper] == []
    assert [outcome.status for outcome in answers(services, {"whole": whole})] == [200]
    hold_against_page("hostile_pdfs", kinds(outcomes))
