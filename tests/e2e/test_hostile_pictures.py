"""Odd, damaged and hostile pictures, among them Pillow's own: a right answer or a 400, soon, and a healthy server after."""

import asyncio
import re
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from bombs import bombs
from e2e.conftest import MODEL
from e2e.pillow_collection import by_pillow, collection_folder, equals_pillows, files_of
from e2e.running import ServerProcess
from e2e.tally import hold_against_page, kind_of
from phiserve.errors import InvalidImage
from phiserve.vision.decode import decode_rgb, read_header
from pictures import encode, image_part, photo

IN_FLIGHT = 16
LONGEST_S = 5.0
PARAM = "messages[0].content[0].image_url"
OUR_WORDS = [
    r"the picture is damaged or incomplete",
    r"the picture is not in a supported format \(JPEG, PNG, WEBP, GIF, BMP\)",
    r"the picture is in (AVIF|HEIC), which is switched off on this server; it serves JPEG, PNG, WEBP, GIF, BMP",
    r"the picture is of a rare kind of JPEG \(lossless, hierarchical, not of 8 bits or unusually sampled\) that is not supported",
    r"the picture is a run-length encoded BMP beyond \d+ bytes and \d+ pixels",
    r"the picture has more than \d+ (PNG chunks|JPEG segments|JPEG scans|GIF blocks before it begins)",
    r"the picture has no pixels",
    r"the picture has \d+ x \d+ pixels; the limit is 64000000 \(max_image_pixels\)",
    r"the picture is empty",
    r"the picture's file is too large; the limit is 20971520 bytes \(max_image_bytes\)",
    r"\d+ x \d+ is too thin; the limit is 336 to 1 \(max_image_aspect_ratio\)",
]
SHOWN_WRONG_BY_PILLOW = {"hopper_bad_exif.jpg"}
"""Its restart intervals are damaged; Pillow shows stripes."""

SHOWN = {True: "200: equal to Pillow's picture", None: "200: 16-bit grey, inks with a profile, or larger than is compared"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one picture, after how long."""

    name: str
    content: bytes
    status: int
    message: str
    code: str
    seconds: float

    @property
    def kind(self) -> str:
        """Its row in the tally."""
        return kind_of(self.status, self.code, self.message)


@pytest.fixture(scope="module")
def collection(pytestconfig: pytest.Config) -> Path:
    """More than a thousand files, pictures of all formats and others."""
    return collection_folder(pytestconfig)


@pytest.fixture(scope="module")
def outcomes(url: str, collection: Path) -> list[Outcome]:
    """What the server answers to each."""
    return all_answered(url, [(path.name, path.read_bytes()) for path in files_of(collection)])


def all_answered(url: str, pictures: list[tuple[str, bytes]]) -> list[Outcome]:
    """Ask about every picture, several at a time."""

    async def run() -> list[Outcome]:
        slots = asyncio.Semaphore(IN_FLIGHT)
        async with httpx.AsyncClient(base_url=url, timeout=120) as client:

            async def ask(name: str, content: bytes) -> Outcome:
                async with slots:
                    return await answered(client, name, content)

            return await asyncio.gather(*(ask(*picture) for picture in pictures))

    return asyncio.run(run())


async def answered(client: httpx.AsyncClient, name: str, content: bytes) -> Outcome:
    body = {"model": MODEL, "max_tokens": 1, "messages": [{"role": "user", "content": [image_part(content, "low")]}]}
    began = time.perf_counter()
    response = await client.post("/v1/chat/completions", json=body)
    seconds = time.perf_counter() - began
    error = response.json().get("error", {})
    return Outcome(name, content, response.status_code, error.get("message", ""), error.get("code", ""), seconds)


def each_alone(server: ServerProcess, pictures: list[tuple[str, bytes]]) -> tuple[list[Outcome], dict[str, float]]:
    """Outcomes, and the processor time of the process that reads pictures: a busy machine does not stretch it."""
    process = psutil.Process(server.process.pid)
    outcomes, spent = [], {}
    for name, content in pictures:
        before = sum(process.cpu_times()[:2])
        outcomes += all_answered(server.url, [(name, content)])
        spent[name] = sum(process.cpu_times()[:2]) - before
    return outcomes, spent


def check(url: str, outcomes: list[Outcome]) -> None:
    """Each a 200 or a 400 in our own words, and the server as well as before."""
    assert {outcome.status for outcome in outcomes} <= {200, 400}
    words = re.compile(re.escape(PARAM) + r"(\.url)?: (" + "|".join(OUR_WORDS) + ")")
    assert [outcome.name for outcome in outcomes if outcome.status == 400 and not words.fullmatch(outcome.message)] == []
    assert httpx.get(f"{url}/ready").status_code == 200
    (normal,) = all_answered(url, [("normal", encode(photo("coffee"), "JPEG"))])
    assert normal.status == 200


def test_pillows_collection(server: ServerProcess, outcomes: list[Outcome]) -> None:
    """Served formats are mostly answered, everything else is refused, and none takes the server long."""
    check(server.url, outcomes)
    slow = [(outcome.name, outcome.content) for outcome in outcomes if outcome.seconds > LONGEST_S]  # others were in the way
    _, spent = each_alone(server, slow)
    assert {name: seconds for name, seconds in spent.items() if seconds > LONGEST_S} == {}
    assert len(outcomes) > 1000
    assert sum(outcome.status == 200 for outcome in outcomes) > 500


def test_right_pictures(outcomes: list[Outcome]) -> None:
    """Every picture that is answered is the one that Pillow makes of it in its plain way, where that way is right."""
    kinds = []
    wrong = []
    for outcome in outcomes:
        equal = equals_pillows(outcome.content) if outcome.status == 200 else None
        wrong += [outcome.name] if equal is False else []
        kinds.append(outcome.kind if outcome.status != 200 else SHOWN[equal])
    assert wrong == []
    assert kinds.count(SHOWN[True]) > 500
    hold_against_page("collection", kinds)


def test_extra_formats_are_right(collection: Path) -> None:
    """Those that this server has switched off are read like the others."""
    files = [path for path in files_of(collection) if path.suffix in (".avif", ".avifs")]
    assert len(files) > 10
    assert [path.name for path in files if equals_pillows(path.read_bytes()) is False] == []


def test_pictures_that_pillow_shows_wrong_are_refused(collection: Path) -> None:
    """No other picture that Pillow shows is refused, but for the formats that are off and for limits."""
    refused = set()
    for path in files_of(collection):
        content = path.read_bytes()
        if by_pillow(content) is not None and equals_pillows(content) is False:
            refused.add(path.name)
            with pytest.raises(InvalidImage):
                decode_rgb(content, read_header(content, path.name), path.name)
    assert refused == SHOWN_WRONG_BY_PILLOW


def test_bombs(server: ServerProcess) -> None:
    """Bombs and floods: refused, or answered as the small pictures that they are; none takes the server long."""
    outcomes, spent = each_alone(server, bombs())
    check(server.url, outcomes)
    assert {name: seconds for name, seconds in spent.items() if seconds > LONGEST_S} == {}
    assert {outcome.name for outcome in outcomes if outcome.status == 200} >= {
        "png inflating",
        "png profile",
        "gif frames",
        "webp frames",
    }
    hold_against_page("bombs", (outcome.kind for outcome in outcomes))
