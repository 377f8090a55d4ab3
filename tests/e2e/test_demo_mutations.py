"""That true answers show a right pipeline: break it, and they go. Images fetched from the web come through
whole.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import openai
import pytest
from PIL import Image

from demo.breakage import BREAKAGES
from demo.exam import BOOK, PAIR, SHAPES, Question, Task
from e2e.running import InProcessServer
from e2e.truth import answers, known, share_right
from images import encode, text_part
from phiserve import assembly
from phiserve.checkpoint.embedded import DEMO_NAME, embedded_checkpoint
from phiserve.config import Settings
from phiserve.core import ImagePlaceholder
from phiserve.media.connector import MediaConnector
from phiserve.media.url_gate import UrlGate
from phiserve.media.web import WebFetcher
from phiserve.vision import decoding
from phiserve.vision.crops import cut_crops
from phiserve.vision.images import EncodedImage, ImageService
from web import PUBLIC, Names, Web, http

COUNT = 10
SEED = 20_000


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    """A web of one host, a.example, on a thread of its own."""
    web, loop = Web(), asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(web.serve, PUBLIC, 0))
    web.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield web
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def served(web: Web) -> Iterator[InProcessServer]:
    """The demo model, with its image pipeline in this process and a web that is all on this host."""
    gate = UrlGate(("*.example",), ports=(web.port,), is_public=lambda address: address == PUBLIC)
    connector = MediaConnector(web=WebFetcher(gate, 10, Names({"a.example": [[PUBLIC]]})))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembly, "media_connector", lambda settings: connector)
        folder = embedded_checkpoint(DEMO_NAME, print)
        settings = Settings(model=str(folder), served_model_name=(DEMO_NAME,), image_sandbox="off")
        server = InProcessServer(settings)
    yield server
    server.close()


@pytest.fixture(scope="module")
def client(served: InProcessServer) -> Iterator[openai.OpenAI]:
    """The synchronous client."""
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def sure(client: openai.OpenAI) -> Callable[[Task, int], Sequence[Question]]:
    """Questions of a task that the whole pipeline answers right: what a broken one makes of them is its own
    doing.
    """
    return lambda task, first: known(client, task, COUNT, SEED + first)


@pytest.mark.parametrize("number", range(len(BREAKAGES)), ids=[breakage.name for breakage in BREAKAGES])
def test_broken_pixels(
    client: openai.OpenAI,
    sure: Callable[[Task, int], Sequence[Question]],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    """Crops that are wrong in any of these ways are noticed."""
    breakage = BREAKAGES[number]
    asked = sure(breakage.whole(), 1000 * number)
    monkeypatch.setattr(
        decoding, "cut_crops", lambda pixels, plan: breakage.of_crops(cut_crops(pixels, plan))
    )
    assert share_right(client, [anew(question) for question in asked]) <= 0.2


def test_pictures_swapped(
    client: openai.OpenAI, sure: Callable[[Task, int], Sequence[Question]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two images in the wrong order are noticed."""
    asked = sure(PAIR, 0)
    read = ImageService.read

    async def reversed_read(
        service: ImageService, placeholders: Sequence[ImagePlaceholder], *others: Any, **named: Any
    ) -> list[EncodedImage]:
        return (await read(service, placeholders, *others, **named))[::-1]

    monkeypatch.setattr(ImageService, "read", reversed_read)
    assert share_right(client, asked) <= 0.2


def anew(question: Question) -> Question:
    """The same images as other files, which no cache knows: one pixel in a corner differs by one level."""
    changed = []
    for image in question.pictures:
        pixels = np.array(image)
        pixels[0, 0, 0] ^= 1
        changed.append(Image.fromarray(pixels))
    return replace(question, pictures=tuple(changed))


def test_the_same_images_anew(client: openai.OpenAI, sure: Callable[[Task, int], Sequence[Question]]) -> None:
    """The yardstick: with nothing broken, other files of the same images are answered alike."""
    asked = sure(SHAPES, 8000)  # no other test's: its broken crops would still be known
    assert share_right(client, [anew(question) for question in asked]) >= 0.9


def test_fetched(client: openai.OpenAI, web: Web, sure: Callable[[Task, int], Sequence[Question]]) -> None:
    """An image fetched from the web gets the answer that it gets as a data URL."""
    asked = sure(BOOK, 5000)[:8]
    fetched = []
    for number, question in enumerate(asked):
        web.answers[f"/{number}.png"] = http(encode(question.pictures[0]))
        url = {"type": "image_url", "image_url": {"url": f"http://a.example:{web.port}/{number}.png"}}
        fetched.append([{"role": "user", "content": [url, text_part(question.question)]}])
    assert answers(client, fetched) == [question.answer for question in asked]
    assert len(web.hits) == len(asked)
