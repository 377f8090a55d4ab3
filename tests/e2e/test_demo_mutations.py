"""That true answers show a right pipeline: break it, and they go. Pictures fetched from the web come through whole."""

import asyncio
import threading
from collections.abc import Iterator

import openai
import pytest

from demo.breakage import BREAKAGES, pictures_swapped
from demo.evaluate import messages
from demo.exam import TASKS
from e2e.running import InProcessServer
from e2e.truth import answers, require, share_right
from phiserve import assembly
from phiserve.checkpoint.embedded import DEMO_NAME, embedded_checkpoint
from phiserve.config import Settings
from phiserve.vision import pictures
from phiserve.vision.fetch import PictureFetcher
from phiserve.vision.pixels import cut_crops
from phiserve.vision.sources import PictureSources
from phiserve.vision.url_gate import UrlGate
from pictures import encode, text_part
from web import PUBLIC, Names, Web, http

COUNT = 20
SEED = 20_000
MOST_WHEN_BROKEN = 0.25
LEAST_WHEN_WHOLE = 0.75

BY_NAME = {task.name: task for task in TASKS}


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
    """The demo model, with its picture pipeline in this process and a web that is all on this host."""
    require(*(breakage.task for breakage in BREAKAGES), "two pictures compared")
    gate = UrlGate(("*.example",), ports=(web.port,), is_public=lambda address: address == PUBLIC)
    sources = PictureSources(web=PictureFetcher(gate, 10, Names({"a.example": [[PUBLIC]]})))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembly, "_picture_sources", lambda settings: sources)
        folder = embedded_checkpoint(DEMO_NAME, print)
        server = InProcessServer(Settings(model=str(folder), served_model_name=DEMO_NAME))
    yield server
    server.close()


@pytest.fixture(scope="module")
def client(served: InProcessServer) -> Iterator[openai.OpenAI]:
    """The synchronous client."""
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def share(client: openai.OpenAI, name: str, first: int) -> float:
    """Share of exact answers to questions from number `first` on: pictures that no other test sends, since caches know them."""
    return share_right(client, [BY_NAME[name].question(SEED + first + number) for number in range(COUNT)])


@pytest.mark.parametrize("name", ["shapes", "book cover, one font", "bar chart, one font"])
def test_whole(client: openai.OpenAI, name: str) -> None:
    """With nothing broken, answers are right: the yardstick for the mutations."""
    assert share(client, name, 0) >= LEAST_WHEN_WHOLE


@pytest.mark.parametrize("number", range(len(BREAKAGES)), ids=[breakage.name for breakage in BREAKAGES])
def test_broken_pixels(client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Crops that are wrong in any of these ways are noticed."""
    breakage = BREAKAGES[number]
    monkeypatch.setattr(pictures, "cut_crops", lambda picture, plan: breakage.of_crops(cut_crops(picture, plan)))
    assert share(client, breakage.task, 1000 * (1 + number)) <= MOST_WHEN_BROKEN


def test_pictures_swapped(client: openai.OpenAI) -> None:
    """Two pictures in the wrong order are noticed."""
    asked = [BY_NAME["two pictures compared"].question(SEED + 9000 + number) for number in range(COUNT)]
    differing = [question for question in asked if question.answer != _halves_swapped(question.answer)]
    assert share_right(client, [pictures_swapped(question) for question in differing]) == 0


def _halves_swapped(answer: str) -> str:
    first, second = answer.removeprefix("The first image shows ").removesuffix(".").split(" and the second image shows ")
    return f"The first image shows {second} and the second image shows {first}."


def test_fetched(client: openai.OpenAI, web: Web) -> None:
    """A picture fetched from the web gets the answer that it gets as a data URL."""
    asked = [BY_NAME["book cover, one font"].question(SEED + number) for number in range(8)]
    urls = []
    for number, question in enumerate(asked):
        web.answers[f"/{number}.png"] = http(encode(question.pictures[0]))
        urls.append({"type": "image_url", "image_url": {"url": f"http://a.example:{web.port}/{number}.png"}})
    fetched = [
        [{"role": "user", "content": [url, text_part(question.question)]}] for url, question in zip(urls, asked, strict=True)
    ]
    assert answers(client, fetched) == answers(client, [messages(question) for question in asked])
    assert len(web.hits) == len(asked)
