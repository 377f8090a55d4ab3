"""Odd, damaged and hostile images on a real engine: a right answer or a 400, soon, and a healthy server.

Of Pillow's files some of each kind, or all where HOSTILE_EVERY is set: the engine takes most of the time, and
nothing of a file gets as far as that but crops. `unit/test_hostile_images.py` asks about all of them without
an engine.
"""

import asyncio
import os
from collections import Counter

import httpx
import psutil
import pytest

from bombs import bombs
from e2e.conftest import MODEL
from e2e.running import ServerProcess
from images import encode, photo
from outcomes import Outcome, ask_about
from phiserve.codecs import FORMATS, parse
from phiserve.codecs.formats import recognise
from phiserve.errors import InvalidImage
from pillow_collection import collection_folder, files_of
from tally import hold_against_page

IN_FLIGHT = 8
LONGEST_S = 10.0
OF_A_KIND = 8
TEMPLATE = "phiserve.sandbox.template"
EVERY = bool(os.environ.get("HOSTILE_EVERY"))


def pillows_files(pytestconfig: pytest.Config) -> list[tuple[str, bytes]]:
    """Names and contents; of each ending of a name, format and fault a few, unless all are wanted."""
    files = [(path.name, path.read_bytes()) for path in files_of(collection_folder(pytestconfig))]
    if EVERY:
        return files
    seen: Counter[tuple[str, str]] = Counter()
    chosen = []
    for name, content in files:
        try:
            parse(content)
            what = recognise(content, FORMATS).name
        except InvalidImage as error:
            what = error.message
        kind = (name.rpartition(".")[2].lower(), what)
        seen[kind] += 1
        chosen += [(name, content)] if seen[kind] <= OF_A_KIND else []
    return chosen


def all_answered(url: str, images: list[tuple[str, bytes]]) -> list[Outcome]:
    """Ask about every image, several at a time."""

    async def run() -> list[Outcome]:
        slots = asyncio.Semaphore(IN_FLIGHT)
        async with httpx.AsyncClient(base_url=url, timeout=120) as client:

            async def ask(name: str, content: bytes) -> Outcome:
                async with slots:
                    return await ask_about(client, MODEL, name, content)

            return await asyncio.gather(*(ask(*image) for image in images))

    return asyncio.run(run())


def each_alone(
    server: ServerProcess, images: list[tuple[str, bytes]]
) -> tuple[list[Outcome], dict[str, float]]:
    """Outcomes, and the processor time of the processes that read images: a busy machine does not stretch
    it.
    """
    outcomes, spent = [], {}
    for name, content in images:
        before = cpu_seconds(server.process.pid)
        outcomes += all_answered(server.url, [(name, content)])
        spent[name] = cpu_seconds(server.process.pid) - before
    return outcomes, spent


def cpu_seconds(pid: int) -> float:
    """Processor time of a server and of the workers that decode for it, but not of its engine."""
    server = psutil.Process(pid)
    decoding = [child for child in server.children(recursive=True) if TEMPLATE in child.cmdline()]
    return sum(sum(process.cpu_times()[:2]) for process in (server, *decoding))


def check(url: str, outcomes: list[Outcome]) -> None:
    """Each as it should be, and the server as well as before."""
    assert [
        (outcome.name, outcome.status, outcome.message) for outcome in outcomes if not outcome.is_proper
    ] == []
    assert httpx.get(f"{url}/ready").status_code == 200
    (normal,) = all_answered(url, [("normal", encode(photo("coffee"), "JPEG"))])
    assert normal.status == 200


@pytest.mark.timeout(3600)
def test_pillows_files(server: ServerProcess, pytestconfig: pytest.Config) -> None:
    """Served formats are mostly answered, everything else is refused, and none takes the server long."""
    outcomes = all_answered(server.url, pillows_files(pytestconfig))
    check(server.url, outcomes)
    slow = [
        (outcome.name, outcome.content) for outcome in outcomes if outcome.seconds > LONGEST_S
    ]  # others were in the way
    _, spent = each_alone(server, slow)
    assert {name: seconds for name, seconds in spent.items() if seconds > LONGEST_S} == {}
    assert len(outcomes) > 100
    assert sum(outcome.status == 200 for outcome in outcomes) > 40
    if not EVERY:
        hold_against_page("engine", (outcome.kind for outcome in outcomes))


def test_bombs(server: ServerProcess) -> None:
    """Bombs and floods: refused, or answered as the small images that they are; none takes the server
    long.
    """
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
