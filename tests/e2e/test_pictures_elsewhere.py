"""A server whose settings allow pictures from any host and from a folder: what it reads, and what it still refuses."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from e2e.running import ServerProcess, server_process
from pictures import encode, noise

INSIDE = [
    *("http://127.0.0.1/", "http://localhost/", "http://localhost.localdomain/", "http://169.254.169.254/latest/meta-data/"),
    *("http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://0x7f.1/", "http://2130706433/", "http://017700000001/"),
    *("http://0.0.0.0/", "http://10.0.0.1/", "http://a@127.0.0.1/", "http://127.0.0.1\\@example.com/", "http://127.0.0.1:22/"),
    *(
        "http://[64:ff9b::7f00:1]/",
        "http://[fe80::1%25lo]/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "//127.0.0.1/",
        "http://a.localhost./",
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a picture."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "a.png").write_bytes(encode(noise(30, 20)))
    return folder


@pytest.fixture(scope="module")
def open_server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """All sources allowed, and small limits for a whole request."""
    settings = tmp_path_factory.mktemp("settings") / "settings.yaml"
    limits = "max_images: 3\nmax_request_image_bytes: 4000\nmax_request_image_pixels: 1500\n"
    settings.write_text(f'image_hosts: ["*"]\nimage_folder: {folder}\n{limits}')
    with server_process("--config", str(settings), XDG_CACHE_HOME=str(tmp_path_factory.mktemp("cache"))) as server:
        server.wait_until_ready()
        yield server


def ask(server: ServerProcess, *urls: str) -> httpx.Response:
    content = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}} for url in urls]
    body = {"model": "phiserve-blank", "max_tokens": 1, "messages": [{"role": "user", "content": content}]}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=120)


def test_a_file(open_server: ServerProcess, folder: Path) -> None:
    """Is read and answered like any picture."""
    answer = ask(open_server, f"file://{folder}/a.png").json()
    assert answer["usage"]["prompt_tokens_details"]["image_tokens"] == 313


@pytest.mark.parametrize("url", INSIDE)
def test_nothing_inside_is_fetched(open_server: ServerProcess, url: str) -> None:
    """However it is written: a 400 that names the place and repeats nothing."""
    answer = ask(open_server, url)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "invalid_image_url")
    assert error["param"] == "messages[0].content[0].image_url"
    for foreign in ("127", "169", "passwd", "localhost", "Errno"):
        assert foreign not in error["message"]


@pytest.mark.parametrize(("count", "limit"), [(2, "max_request_image_bytes"), (3, "max_request_image_"), (4, "max_images")])
def test_limits_of_a_request(open_server: ServerProcess, folder: Path, count: int, limit: str) -> None:
    """Named in the error, and in the model's card with the number that holds."""
    (folder / "b.png").write_bytes(encode(noise(30, 20)) + bytes(1000))
    answer = ask(open_server, *[f"file://{folder}/b.png"] * count)
    assert (answer.status_code, limit in answer.json()["error"]["message"]) == (400, True)
    card = httpx.get(f"{open_server.url}/v1/models/phiserve-blank").json()
    assert card["limits"] == {
        "max_total_tokens": 4096,
        "max_body_bytes": 128 * 2**20,
        "max_images": 3,
        "max_image_bytes": 20 * 2**20,
        "max_image_pixels": 64_000_000,
        "max_image_aspect_ratio": 336.0,
        "max_request_image_bytes": 4000,
        "max_request_image_pixels": 1500,
    }
