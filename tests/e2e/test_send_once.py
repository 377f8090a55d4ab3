"""An image sent again costs a hash: it is not decoded and not sent to the engine, and a lost one is found out
and sent anew.
"""

import asyncio
from typing import Any

import httpx
import pytest

from e2e.processes import wait_until
from e2e.running import InProcessServer
from images import image_part, noise, text_part

COUNTERS = ("read", "decoded", "sent", "reused")


def counters(server: InProcessServer) -> dict[str, float]:
    """Our own image counters."""
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    values = {
        line.split()[0]: float(line.split()[1]) for line in lines if line.startswith("phiserve_images_")
    }
    return {name: values[f"phiserve_images_{name}_total"] for name in COUNTERS}


def change(before: dict[str, float], after: dict[str, float]) -> tuple[float, ...]:
    return tuple(after[name] - before[name] for name in COUNTERS)


def ask(server: InProcessServer, *parts: Any, **fields: Any) -> dict[str, Any]:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": [*parts, text_part("?")]}],
        "max_tokens": 4,
    }
    response = httpx.post(
        f"{server.url}/v1/chat/completions", json=body | {"temperature": 0} | fields, timeout=120
    )
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def content(answer: dict[str, Any]) -> str:
    text: str = answer["choices"][0]["message"]["content"]
    return text


def test_sent_once(counted: InProcessServer) -> None:
    """The second request with the same image reads it and nothing more; another `detail` is another image."""
    image, start = noise(50, 40, seed=1), counters(counted)
    first = ask(counted, image_part(image, "low"))
    once = counters(counted)
    second = ask(counted, image_part(image, "low"))
    twice = counters(counted)
    ask(counted, image_part(image, "high"))
    assert change(start, once) == (1, 1, 1, 0)
    assert change(once, twice) == (1, 0, 0, 1)
    assert change(twice, counters(counted)) == (1, 1, 1, 0)
    assert content(first) == content(second)


def test_twice_in_one_request(counted: InProcessServer) -> None:
    """An image that occurs twice is decoded and sent once, and stands in both places."""
    image, before = noise(50, 40, seed=2), counters(counted)
    answer = ask(counted, image_part(image, "low"), image_part(image, "low"))
    assert change(before, counters(counted)) == (2, 1, 1, 1)
    assert answer["usage"]["prompt_tokens_details"]["image_tokens"] == 2 * 313


def test_drift_is_found_out_and_mended(counted: InProcessServer) -> None:
    """The engine forgets its images behind our back: the answer is the same, and the image was sent again."""
    images = [image_part(noise(50, 40, seed=seed), "low") for seed in (3, 4)]
    expected = content(ask(counted, *images))
    wait_until(lambda: not counted.services.pipeline._images._cutting)  # crops stay a moment, for others
    before = counters(counted)
    counted.run(counted.engine._llm.engine_core.reset_mm_cache_async())
    counted.run(counted.engine._llm.reset_prefix_cache())
    answer = ask(counted, *images)
    assert content(answer) == expected
    assert answer["choices"][0]["finish_reason"] != "error"
    assert change(before, counters(counted)) == (2, 2, 2, 2)
    again = counters(counted)
    assert content(ask(counted, *images)) == expected
    assert change(again, counters(counted)) == (2, 0, 0, 2)


@pytest.mark.parametrize("options", [{"n": 3, "temperature": 1, "seed": 5}, {"stream": True}])
def test_drift_with_choices_and_streams(counted: InProcessServer, options: dict[str, Any]) -> None:
    """The retry serves several choices and streams too, and never shows "error"."""
    part = image_part(noise(50, 40, seed=6), "low")
    ask(counted, part)
    counted.run(counted.engine._llm.engine_core.reset_mm_cache_async())
    body = {"model": "m", "messages": [{"role": "user", "content": [part]}], "max_tokens": 4} | options
    response = httpx.post(f"{counted.url}/v1/chat/completions", json=body, timeout=120)
    assert response.status_code == 200
    assert '"error"' not in response.text
    if "n" in options:
        assert [len(choice["message"]["content"]) > 0 for choice in response.json()["choices"]] == [True] * 3


def test_eviction(counted: InProcessServer) -> None:
    """More images than the cache holds, in turn and together: every answer is what it was, both sides evict
    alike.
    """
    parts = [
        image_part(noise(60, 60, seed=seed), "high") for seed in range(10, 14)
    ]  # 5.4 MB each, the cache holds one
    expected = [content(ask(counted, part)) for part in parts]
    assert [content(ask(counted, part)) for part in reversed(parts)] == expected[::-1]

    async def together() -> list[str]:
        async with httpx.AsyncClient(timeout=300) as client:
            bodies = [
                {
                    "model": "m",
                    "messages": [{"role": "user", "content": [part, text_part("?")]}],
                    "max_tokens": 4,
                }
                for part in parts * 3
            ]
            posts = (
                client.post(f"{counted.url}/v1/chat/completions", json=b | {"temperature": 0}) for b in bodies
            )
            return [content(response.json()) for response in await asyncio.gather(*posts)]

    assert asyncio.run(together()) == expected * 3


def test_a_cancelled_request_does_not_poison_the_cache(counted: InProcessServer) -> None:
    """A client that leaves while its image is on the way; the next one with the same image is answered."""
    part = image_part(noise(70, 40, seed=20), "high")
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": [part]}],
        "max_tokens": 200,
        "ignore_eos": True,
    }
    for timeout_s in (0.01, 0.03, 0.05, 0.1, 0.2):
        try:
            httpx.post(f"{counted.url}/v1/chat/completions", json=body, timeout=timeout_s)
        except httpx.TimeoutException:
            continue
    assert content(ask(counted, part)) == content(ask(counted, part))


def test_limits_of_vllm_are_ours(counted: InProcessServer) -> None:
    """vLLM's own refusal of a parameter, known only to it, names the parameter."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stop_token_ids": [99_999]}
    response = httpx.post(f"{counted.url}/v1/chat/completions", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "stop_token_ids"
