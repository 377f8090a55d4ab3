"""A server whose settings allow images from any host and from a folder: what it reads, and what it still
refuses.
"""

from pathlib import Path

import httpx
import pytest

from e2e.running import ServerProcess
from hostile_urls import KINDS
from images import encode, noise
from tally import hold_against_page, kind_of

LONGEST_S = 30.0
"""An image's deadline of ten seconds, and a busy machine."""

URLS = [(kind, url) for kind, urls in KINDS.items() for url in urls]
FOREIGN = ("127.", "169.", "192.", "passwd", "localhost", "example", "Errno", "secret", "bucket")
"""Words of the URLs above, and of libraries, that no message may repeat."""


def ask(server: ServerProcess, *urls: str) -> httpx.Response:
    content = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}} for url in urls]
    body = {"model": "phiserve-blank", "max_tokens": 1, "messages": [{"role": "user", "content": content}]}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=120)


def test_a_file(configured_server: ServerProcess, image_folder: Path) -> None:
    """Is read and answered like any image."""
    answer = ask(configured_server, f"file://{image_folder}/a.png").json()
    assert answer["usage"]["prompt_tokens_details"]["image_tokens"] == 313


@pytest.fixture(scope="module")
def answers(configured_server: ServerProcess, image_folder: Path) -> list[httpx.Response]:
    """What is answered to each hostile URL."""
    places = (
        f"file://{image_folder}{url}" if kind == "files by way of the folder" else url for kind, url in URLS
    )
    return [ask(configured_server, url) for url in places]


def test_nothing_inside_is_fetched(answers: list[httpx.Response]) -> None:
    """However it is written: a 400 that names the place and repeats nothing; soon, and the counts are the
    page's.
    """
    for (_, url), answer in zip(URLS, answers, strict=True):
        error = answer.json()["error"]
        assert (answer.status_code, error["type"]) == (400, "invalid_request_error"), url
        assert error["param"].startswith("messages[0].content[0].image_url"), url
        assert [word for word in FOREIGN if word in error["message"]] == [], url
        assert answer.elapsed.total_seconds() < LONGEST_S, url
    kinds = [f"{kind}: {error_kind(answer)}" for (kind, _), answer in zip(URLS, answers, strict=True)]
    hold_against_page("urls", kinds)


def error_kind(answer: httpx.Response) -> str:
    """Its row in the tally."""
    error = answer.json()["error"]
    return kind_of(answer.status_code, error["code"], error["message"])


def test_the_server_is_well_after_all_that(
    configured_server: ServerProcess, answers: list[httpx.Response], image_folder: Path
) -> None:
    """It goes on reading images."""
    assert len(answers) == len(URLS)
    assert httpx.get(f"{configured_server.url}/ready").status_code == 200
    assert ask(configured_server, f"file://{image_folder}/a.png").status_code == 200


@pytest.mark.parametrize(
    ("count", "limit"), [(2, "max_request_image_bytes"), (3, "max_request_image_"), (4, "max_images")]
)
def test_limits_of_a_request(
    configured_server: ServerProcess, image_folder: Path, count: int, limit: str
) -> None:
    """Named in the error, and in the model's card with the number that holds."""
    (image_folder / "b.png").write_bytes(encode(noise(30, 20)) + bytes(1000))
    answer = ask(configured_server, *[f"file://{image_folder}/b.png"] * count)
    assert (answer.status_code, limit in answer.json()["error"]["message"]) == (400, True)
    card = httpx.get(f"{configured_server.url}/v1/models/phiserve-blank").json()
    assert card["limits"] == {
        "max_total_tokens": 6000,
        "max_body_bytes": 132 * 2**20,
        "max_images": 3,
        "max_image_bytes": 20 * 2**20,
        "max_image_pixels": 64_000_000,
        "max_image_aspect_ratio": 336.0,
        "max_request_image_bytes": 4000,
        "max_request_image_pixels": 1500,
        "max_pdf_bytes": 50 * 2**20,
    }
