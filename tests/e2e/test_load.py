"""Many clients at once: each gets its own answer, and those who hang up leave nothing running."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from PIL import Image

from e2e.conftest import MODEL
from e2e.running import InProcessServer
from images import encode, image_part, noise, text_part
from phiserve.codecs import parse
from phiserve.vision.crops import cut_crops
from phiserve.vision.sizes import plan_crops

STREAMS = 32
HANG_UPS = 200
ATTEMPTS = 5
NEARLY_EQUAL = 1e-3
"""Where the two best candidates are closer than this, either is right: batching changes the order of
additions."""


def conversation(number: int) -> list[Any]:
    """Images and text mixed: every third request shows an image of its own."""
    parts = [text_part(f"Tell me about number {number}: " + "word " * (number % 7))]
    if number % 3 == 0:
        parts.insert(0, image_part(noise(40 + number, 30, seed=number), "low"))
    return [{"role": "user", "content": parts}]


async def stream_answer(client: openai.AsyncOpenAI, number: int) -> list[tuple[int, float]]:
    """Token ids of a streamed greedy answer, each with its lead over the second best candidate."""
    stream = await client.chat.completions.create(
        model="m",
        messages=conversation(number),
        temperature=0,
        max_tokens=24,
        stream=True,
        logprobs=True,
        top_logprobs=2,
        extra_body={"return_token_ids": True, "ignore_eos": True},
    )
    ids: list[int] = []
    leads: list[float] = []
    async for chunk in stream:
        choice = chunk.choices[0]
        ids += (choice.model_extra or {}).get("token_ids", ())
        if choice.logprobs:
            leads += [
                c.top_logprobs[0].logprob - c.top_logprobs[1].logprob for c in choice.logprobs.content or ()
            ]
    return list(zip(ids, leads, strict=True))


def same_answer(alone: list[tuple[int, float]], together: list[tuple[int, float]]) -> bool:
    """Equal up to the first near tie."""
    for (first, lead), (second, _) in zip(alone, together, strict=True):
        if first != second:
            return lead < NEARLY_EQUAL
    return True


def test_each_stream_gets_the_answer_it_gets_alone(counted: InProcessServer) -> None:
    """32 streams at once, images and text mixed. In float32: with bfloat16, candidates are often equal."""

    async def run() -> None:
        async with openai.AsyncOpenAI(
            base_url=f"{counted.url}/v1", api_key="none", max_retries=0, timeout=300
        ) as client:
            alone = [await stream_answer(client, number) for number in range(STREAMS)]
            together = await asyncio.gather(*(stream_answer(client, number) for number in range(STREAMS)))
        assert all(len(answer) == 24 for answer in together)
        wrong = [number for number in range(STREAMS) if not same_answer(alone[number], together[number])]
        assert wrong == []
        assert len({tuple(token for token, _ in answer) for answer in alone}) > STREAMS // 2

    asyncio.run(run())


async def gauge(client: httpx.AsyncClient, name: str) -> float:
    metrics = (await client.get("/metrics")).text
    return float(next(line for line in metrics.splitlines() if line.startswith(f"vllm:{name}{{")).split()[-1])


def endless(number: int, *, stream: bool) -> dict[str, Any]:
    """A request whose answer ends only with the context."""
    return {"model": MODEL, "messages": conversation(number), "stream": stream, "ignore_eos": True}


async def leave_in_mid_stream(client: httpx.AsyncClient, number: int) -> bool:
    """Read the first text of an endless answer, then hang up."""
    async with client.stream("POST", "/v1/chat/completions", json=endless(number, stream=True)) as response:
        assert response.status_code == 200
        async for line in response.aiter_lines():
            if '"content":' in line:
                return True
    return False


async def leave_while_waiting(client: httpx.AsyncClient, number: int) -> bool:
    """Ask for an endless answer in one piece, then hang up."""
    try:
        await client.post(
            "/v1/chat/completions", json=endless(number, stream=False), timeout=0.3 + number / HANG_UPS
        )
    except httpx.TimeoutException:
        return True
    return False


@pytest.mark.parametrize("leave", [leave_in_mid_stream, leave_while_waiting])
def test_clients_that_hang_up_leave_nothing_running(
    url: str, leave: Callable[[httpx.AsyncClient, int], Awaitable[bool]]
) -> None:
    """200 clients leave endless answers; soon nothing runs or waits, and the server answers as before."""

    async def run() -> None:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=120) as client:
            assert all(await asyncio.gather(*(leave(client, number) for number in range(HANG_UPS))))
            async with asyncio.timeout(30):
                while [await gauge(client, f"num_requests_{state}") for state in ("running", "waiting")] != [
                    0,
                    0,
                ]:
                    await asyncio.sleep(0.1)
            body = {"model": MODEL, "messages": conversation(1), "max_tokens": 2}
            assert (await client.post("/v1/chat/completions", json=body)).status_code == 200

    asyncio.run(run())


def huge_image(number: int) -> bytes:
    """50 megapixels in a small file that takes long to decode, another one for each number."""
    columns, rows = np.meshgrid(np.arange(8000, dtype=np.uint16) + number, np.arange(6250, dtype=np.uint16))
    channels = [(columns // 32) % 256, (rows // 25) % 256, (columns + rows) // 64 % 256]
    return encode(Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8)))


def work_in_seconds(content: bytes) -> float:
    """How long an image takes to decode and cut, at this moment on this machine."""
    began = time.perf_counter()
    parsed = parse(content)
    cut_crops(parsed.decode(), plan_crops(*parsed.size, 1))
    return time.perf_counter() - began


async def longest_pause(url: str, content: bytes) -> float:
    """Of a running stream, in seconds, while another request shows an image."""
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:
        arrivals: list[float] = []
        first = asyncio.Event()

        async def listen() -> None:
            body = {"model": MODEL, "messages": conversation(1), "stream": True, "ignore_eos": True}
            async with client.stream("POST", "/v1/chat/completions", json=body) as response:
                async for line in response.aiter_lines():
                    if '"content":' in line:
                        arrivals.append(time.perf_counter())
                        first.set()

        listening = asyncio.create_task(listen())
        await first.wait()
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": [image_part(content, "low")]}],
            "max_tokens": 1,
        }
        began = time.perf_counter()
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
        ended = time.perf_counter()
        assert not listening.done(), "the stream ended too early to tell"
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        during = [began, *(moment for moment in arrivals if began < moment < ended), ended]
        return max(later - earlier for earlier, later in pairwise(during))


def test_a_huge_image_does_not_stall_a_running_stream(url: str) -> None:
    """No pause of a running stream comes near the time that a 50-megapixel image takes to decode and cut.

    A server that decodes between two chunks pauses every time; what else keeps the machine busy does not: one
    attempt tells.
    """
    tried: list[tuple[float, float]] = []
    for number in range(ATTEMPTS):
        content = huge_image(number)  # one that was shown before would not be decoded again
        tried.append((asyncio.run(longest_pause(url, content)), work_in_seconds(content)))
        pause_s, work_s = tried[-1]
        if pause_s < work_s / 2:
            return
    pytest.fail(f"pauses, and the work on the image, in seconds: {tried}")


def test_overload_is_429_with_retry_after(url: str) -> None:
    """More unfinished requests than the engine admits: the rest is told when to come back."""

    async def run() -> None:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=120) as client:
            body = {
                "model": MODEL,
                "messages": conversation(1),
                "n": 16,
                "max_tokens": 50,
                "ignore_eos": True,
            }
            responses = await asyncio.gather(
                *(client.post("/v1/chat/completions", json=body) for _ in range(24))
            )
        assert sorted(response.status_code for response in responses)[:1] == [200]
        refused = [response for response in responses if response.status_code != 200]
        assert refused
        for response in refused:
            assert (response.status_code, response.headers["retry-after"]) == (429, "1")
            assert response.json()["error"]["code"] == "rate_limit_exceeded"

    asyncio.run(run())
