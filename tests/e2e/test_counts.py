"""What a request costs, counted rather than timed: the same on every machine, so that a regression fails."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from benchmarks.metrics import change, read
from benchmarks.stream import StreamReader
from e2e.processes import wait_until
from e2e.running import InProcessServer
from images import encode, image_part, noise, text_part
from phiserve.vision.sizes import CROP_SIDE

CROP_BYTES = CROP_SIDE * CROP_SIDE * 3
PHOTO_CROPS = 12
"""Of a 4:3 image under the model's own max_crops of 16."""

IDENTICAL = 8
"""Requests that come at once with one image; it is decoded once and sent once."""

EVENTS_BESIDE_CONTENT = 4
"""Of a stream: the role, the finish reason, usage, the end mark."""


def body(*parts: Any, **fields: Any) -> dict[str, Any]:
    """A request for a short answer."""
    return {
        "model": "m",
        "messages": [{"role": "user", "content": [*parts]}],
        "max_tokens": 4,
        "temperature": 0,
    } | fields


def ask(server: InProcessServer, *parts: Any) -> None:
    response = httpx.post(f"{server.url}/v1/chat/completions", json=body(*parts, text_part("?")), timeout=120)
    assert response.status_code == 200, response.text


def first_logprobs(server: InProcessServer, part: dict[str, Any]) -> dict[str, float]:
    """The likeliest first tokens of an answer about an image."""
    request = body(part, text_part("?"), max_tokens=1, logprobs=True, top_logprobs=5)
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=request, timeout=120).json()
    (first,) = answer["choices"][0]["logprobs"]["content"]
    return {top["token"]: top["logprob"] for top in first["top_logprobs"]}


def clip_crops(server: InProcessServer) -> int:
    """Crops that the worker has counted so far."""
    return clip_calls(server, "clip_crops")


def clip_calls(server: InProcessServer, name: str) -> int:
    """One of the worker's counts."""
    (count,) = server.run(server.engine._llm.collective_rpc(name))
    return int(count)


def cost(server: InProcessServer, *parts: Any) -> dict[str, float]:
    """Our counters' change over one request, and crops through CLIP."""
    before, crops = read(server.url), clip_crops(server)
    ask(server, *parts)
    found = change(before, read(server.url))
    names = ("pictures_decoded", "pictures_sent", "pictures_reused", "picture_bytes_sent")
    return {name: found[name] for name in names} | {"clip_crops": clip_crops(server) - crops}


def test_a_photo_costs_its_real_crops(counted: InProcessServer) -> None:
    """A 4:3 image: decoded once, twelve crops of bytes sent, CLIP sees them and the global view, never
    padding.
    """
    assert cost(counted, image_part(noise(640, 480, seed=1))) == {
        "pictures_decoded": 1,
        "pictures_sent": 1,
        "pictures_reused": 0,
        "picture_bytes_sent": PHOTO_CROPS * CROP_BYTES,
        "clip_crops": PHOTO_CROPS + 1,
    }


def test_low_detail_costs_one_crop(counted: InProcessServer) -> None:
    """It is its own global view, and CLIP sees it once."""
    assert cost(counted, image_part(noise(640, 480, seed=2), "low")) == {
        "pictures_decoded": 1,
        "pictures_sent": 1,
        "pictures_reused": 0,
        "picture_bytes_sent": CROP_BYTES,
        "clip_crops": 1,
    }


def test_a_image_in_later_turns_costs_nothing(counted: InProcessServer) -> None:
    """Four more turns about the same image: not decoded, not sent, not seen by CLIP again."""
    part = image_part(noise(640, 480, seed=3))
    ask(counted, part)
    for turn in range(4):
        assert cost(counted, part, text_part(f"And in turn {turn}?")) == {
            "pictures_decoded": 0,
            "pictures_sent": 0,
            "pictures_reused": 1,
            "picture_bytes_sent": 0,
            "clip_crops": 0,
        }


def test_identical_images_at_once(counted: InProcessServer) -> None:
    """Of many requests that come at once with the same image, one sends it and CLIP sees it once."""
    part = image_part(noise(640, 480, seed=4))
    before, crops = read(counted.url), clip_crops(counted)

    async def together() -> list[int]:
        async with httpx.AsyncClient(timeout=120) as client:
            bodies = [body(part, text_part(f"Number {number}?")) for number in range(IDENTICAL)]
            posts = (client.post(f"{counted.url}/v1/chat/completions", json=one) for one in bodies)
            return [response.status_code for response in await asyncio.gather(*posts)]

    assert asyncio.run(together()) == [200] * IDENTICAL
    found = change(before, read(counted.url))
    assert (found["pictures_sent"], found["pictures_reused"]) == (1, IDENTICAL - 1)
    assert found["picture_bytes_sent"] == PHOTO_CROPS * CROP_BYTES
    assert found["pictures_decoded"] == 1
    assert clip_crops(counted) - crops == PHOTO_CROPS + 1


def test_a_token_is_a_chunk_at_most(counted: InProcessServer) -> None:
    """A stream has no more events with content than tokens, and four beside them."""
    request = body(
        text_part("Tell me"),
        max_tokens=64,
        ignore_eos=True,
        stream=True,
        stream_options={"include_usage": True},
    )
    with httpx.stream("POST", f"{counted.url}/v1/chat/completions", json=request, timeout=120) as response:
        raw = b"".join(response.iter_raw())
    reader = StreamReader()
    reader.feed(raw, 0.0)
    assert reader.done
    assert reader.tokens == 64
    assert 1 <= len(reader.arrivals_s) <= 64
    assert raw.count(b"data: ") <= len(reader.arrivals_s) + EVENTS_BESIDE_CONTENT


def test_a_image_is_encoded_while_others_are_answered(counted: InProcessServer) -> None:
    """Some crops before each step of theirs, none twice; and it looks the same as to a server that has
    nothing else to do.
    """
    image = noise(640, 480, seed=5)  # as two files, so that no cache knows the second
    alone = first_logprobs(counted, image_part(encode(image, compress_level=1)))
    passes, crops = clip_calls(counted, "clip_passes"), clip_crops(counted)
    with streaming(counted, text_part("Tell me")):
        beside = first_logprobs(counted, image_part(encode(image, compress_level=9)))
    assert beside == pytest.approx(alone, abs=1e-3)
    assert clip_crops(counted) - crops == PHOTO_CROPS + 1
    assert 1 < clip_calls(counted, "clip_passes") - passes <= PHOTO_CROPS + 1


def test_a_image_that_nobody_waits_for_is_freed(counted: InProcessServer) -> None:
    """A client hangs up while its image is being encoded beside another's answer: nothing of it stays, and
    who shows the image later sees it as ever.
    """
    image = noise(640, 480, seed=6)
    alone = first_logprobs(counted, image_part(encode(image, compress_level=1)))
    part = image_part(encode(image, compress_level=9))
    slice_s = slice_encoding(counted, 0.0)  # a part of a crop before each step
    try:
        with streaming(counted, text_part("Tell me")):
            asyncio.run(hang_up_when(lambda: clip_calls(counted, "images_under_way") == 1, counted, part))
            wait_until(lambda: clip_calls(counted, "images_under_way") == 0)
            slice_encoding(counted, slice_s)
            assert first_logprobs(counted, part) == pytest.approx(alone, abs=1e-3)
    finally:
        slice_encoding(counted, slice_s)


def slice_encoding(server: InProcessServer, slice_s: float) -> float:
    """Set the longest slice in seconds; what it was before."""
    (before_s,) = server.run(server.engine._llm.collective_rpc("slice_encoding", args=(slice_s,)))
    return float(before_s)


@contextmanager
def streaming(server: InProcessServer, *parts: Any) -> Iterator[None]:
    """While a long answer is read."""
    request = body(*parts, max_tokens=3000, ignore_eos=True, stream=True)
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=request, timeout=120) as response:
        assert response.status_code == 200, response.read()
        chunks = response.iter_raw()  # kept: without it, httpx would hang up
        next(chunks)
        yield


async def hang_up_when(holds: Callable[[], bool], server: InProcessServer, *parts: Any) -> None:
    """Ask, and close the connection before the answer, once this holds."""
    async with httpx.AsyncClient(timeout=120) as client:
        url, request = f"{server.url}/v1/chat/completions", body(*parts, text_part("?"))
        asking = asyncio.create_task(client.post(url, json=request))
        while not await asyncio.to_thread(holds):
            assert not asking.done()
        asking.cancel()
