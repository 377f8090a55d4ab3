"""Every file of Pillow's own tests, asked about over all but the engine: the right image, or a 400 in our
words.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from outcomes import Outcome, ask_about
from phiserve.api.app import create_app
from phiserve.api.services import Services
from phiserve.chat.encoder import PromptEncoder
from phiserve.codecs import EXTRA_FORMATS, FORMATS
from phiserve.load import Load
from phiserve.pipeline import Pipeline
from phiserve.preparation import PromptLimits, PromptPreparer
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits
from pillow_collection import collection_folder, equals_pillows, files_of
from scripted import ScriptedEngine
from tally import hold_against_page
from wire import ANSWER

LONGEST_S = 5.0
SHOWN_WRONG_BY_PILLOW = {"hopper_bad_exif.jpg"}
"""Its restart intervals are damaged; Pillow shows stripes."""

EQUAL = "200: equal to Pillow's image"
OWN_WAY = "200: 16-bit grey, inks with a profile, HEIC, or larger than is compared"


@pytest.fixture(scope="module")
def collection(pytestconfig: pytest.Config) -> Path:
    """More than a thousand files, images of all formats and others."""
    return collection_folder(pytestconfig)


@pytest.fixture(params=[(), EXTRA_FORMATS], ids=["usual", "all"])
def formats(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """As served by default, and with AVIF and HEIC."""
    extra: tuple[str, ...] = request.param
    return (*FORMATS, *extra)


@pytest.fixture
def services(
    formats: tuple[str, ...], encoder: PromptEncoder, make_services: Callable[..., Services]
) -> Iterator[Services]:
    """A server that answers one word, having loaded the crops."""
    engine = ScriptedEngine(ANSWER)
    images = ImageService(ImageLimits(formats=formats), workers=2)
    preparer = PromptPreparer(encoder, images, PromptLimits(engine.context_tokens, 16, 4, 64))
    yield replace(
        make_services(engine),
        pipeline=Pipeline(engine, preparer, images, Load(64, 256, 60), max_choices=1),
        preparer=preparer,
    )
    images.close()


def answers(services: Services, files: list[Path]) -> list[Outcome]:
    """What is answered about each file, one after the other."""

    async def run() -> list[Outcome]:
        transport = httpx.ASGITransport(create_app(services), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return [await ask_about(client, "m", path.name, path.read_bytes()) for path in files]

    return asyncio.run(run())


def kind_of(outcome: Outcome, equals_pillow: bool | None) -> str:
    """The row of the tally that an answer belongs to."""
    if outcome.status != 200:
        return outcome.kind
    return OWN_WAY if equals_pillow is None else EQUAL


def test_every_file_is_answered_right(services: Services, formats: tuple[str, ...], collection: Path) -> None:
    """With the image that Pillow makes of it in its plain way, where that way is right, or with 400; each in
    its time.
    """
    kinds, wrong = [], []
    for outcome in answers(services, files_of(collection)):
        equal = equals_pillows(outcome.content) if outcome.status == 200 else None
        kinds.append(kind_of(outcome, equal))
        if equal is False or not outcome.is_proper or outcome.seconds > LONGEST_S:
            wrong.append((outcome.name, outcome.status, outcome.message, outcome.seconds))
    assert wrong == []
    assert len(kinds) > 1000
    assert kinds.count(EQUAL) > 500
    hold_against_page("all_formats" if "HEIC" in formats else "usual_formats", kinds)


def test_images_that_are_refused_are_no_others(collection: Path) -> None:
    """Everything that Pillow shows is shown, but for what it shows wrong."""
    contents = {path.name: path.read_bytes() for path in files_of(collection)}
    assert {
        name for name, content in contents.items() if equals_pillows(content) is False
    } == SHOWN_WRONG_BY_PILLOW
