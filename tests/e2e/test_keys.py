"""Keys with owners at a real engine: what each may learn of the others, and how long a change takes."""

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.conftest import MODEL
from e2e.running import ServerProcess, server_process
from images import encode, image_part, noise, photo, text_part
from key_files import bearer, write_keys

WAIT_S = 30.0
LONG = "All work and no play makes Jack a dull boy. " * 60
ROUNDS = 3


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two owners' keys without limits."""
    return write_keys(tmp_path_factory.mktemp("keys") / "keys.yaml", alice={}, bob={})


@pytest.fixture(scope="module")
def keyed_server(keys_file: Path) -> Iterator[ServerProcess]:
    """A server that knows them."""
    with server_process(PHISERVE_KEYS_FILE=str(keys_file)) as process:
        process.wait_until_ready()
        yield process


def ask(server: ServerProcess, owner: str, *content: Any) -> httpx.Response:
    """A request of an owner for one token."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": [*content]}], "max_tokens": 1}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=bearer(owner), timeout=120)


def cached_tokens(server: ServerProcess, owner: str, *content: Any) -> int:
    """Tokens of the prompt that the engine had cached."""
    answer = ask(server, owner, *content)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"])


def counter(server: ServerProcess, name: str) -> float:
    """A metric's value."""
    text = httpx.get(f"{server.url}/metrics", headers=bearer("alice"), timeout=60).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def test_prompts_are_cached_for_each_owner(keyed_server: ServerProcess) -> None:
    """The engine's own counter: nothing for another's prompt, nearly all for one's own."""
    counts = [cached_tokens(keyed_server, owner, text_part(LONG)) for owner in ("alice", "bob")]
    again = [cached_tokens(keyed_server, owner, text_part(LONG)) for owner in ("alice", "bob")]
    assert counts == [0, 0]
    assert min(again) > 500


def test_images_are_cached_for_each_owner(keyed_server: ServerProcess) -> None:
    """Another's image is decoded and sent anew, one's own is not."""
    content = (image_part(photo("coffee"), "low"), text_part("?"))
    names = ("phiserve_images_decoded_total", "phiserve_images_sent_total")
    counts = []
    for owner in ("alice", "bob", "alice", "bob"):
        before = [counter(keyed_server, name) for name in names]
        cached = cached_tokens(keyed_server, owner, *content)
        counts.append(
            (
                *(counter(keyed_server, name) - value for name, value in zip(names, before, strict=True)),
                cached > 0,
            )
        )
    assert counts == [(1, 1, False), (1, 1, False), (0, 0, True), (0, 0, True)]


def test_time_tells_nothing(keyed_server: ServerProcess) -> None:
    """An image that another has just shown takes as long as one that nobody has; one's own is far quicker, so
    that a shared cache would show.
    """

    def seconds(owner: str, content: tuple[Any, ...]) -> float:
        began = time.perf_counter()
        assert ask(keyed_server, owner, *content).status_code == 200
        return time.perf_counter() - began

    fresh, others, own = [], [], []
    for number in range(ROUNDS):
        known, unknown = (
            (image_part(encode(noise(1344, 1008, seed)), "high"), text_part("?"))
            for seed in (2 * number, 2 * number + 1)
        )
        ask(keyed_server, "alice", *known)
        others.append(seconds("bob", known))
        fresh.append(seconds("bob", unknown))
        own.append(seconds("alice", known))
    assert statistics.median(own) < statistics.median(fresh) / 2
    assert statistics.median(others) > statistics.median(fresh) / 2


def test_a_changed_file_holds_without_a_restart(keyed_server: ServerProcess, keys_file: Path) -> None:
    """A new key is let in and a revoked one kept out, within moments. Last: the file is another then."""
    new = write_keys(keys_file.with_name("new.yaml"), alice={}, carol={})
    assert ask(keyed_server, "carol", text_part("Hi")).status_code == 401
    os.replace(new, keys_file)
    deadline = time.monotonic() + WAIT_S
    while ask(keyed_server, "carol", text_part("Hi")).status_code == 401:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert ask(keyed_server, "bob", text_part("Hi")).status_code == 401
