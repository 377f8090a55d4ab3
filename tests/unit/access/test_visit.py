"""Visits are kept to what their key may ask for: images, pages, tokens, how closely to look."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from phiserve.access.visit import KeyVisit, Visit, duration_text
from phiserve.core import Detail, DocumentPlaceholder, ImagePlaceholder, TokenCounts
from phiserve.errors import InvalidRequest, RateLimitReached
from unit.access.test_gate import gate_of, images


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0001, "1ms"),
        (0.02, "20ms"),
        (0.9999, "1s"),
        (1, "1s"),
        (1.5, "1.5s"),
        (10, "10s"),
        (59.9999, "1m0s"),
        (100, "1m40s"),
        (360, "6m0s"),
        (90.951, "1m30.951s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    """As OpenAI writes them."""
    assert duration_text(seconds) == text


def test_without_keys() -> None:
    """Nothing is limited or salted."""

    async def run() -> None:
        visit = Visit()
        await visit.take_images(images("high") * 100)
        await visit.take_prompt(10**9, "input")
        visit.answering(lambda: TokenCounts(0, 0, 0, 0))
        assert (visit.owner, visit.cache_salt) == (None, None)

    asyncio.run(run())


@pytest.mark.parametrize(("most", "allowed"), [("low", 1), ("auto", 2), ("high", 3), (None, 3)])
def test_largest_detail(tmp_path: Path, most: str | None, allowed: int) -> None:
    """More than the key's is refused, with the place."""
    gate, key = gate_of(tmp_path, max_detail=most)
    details: tuple[Detail, ...] = ("low", "auto", "high")

    async def run() -> None:
        async with gate.enter(key) as visit:
            await visit.take_images(images(*details[:allowed]))
            for detail in details[allowed:]:
                with pytest.raises(InvalidRequest) as caught:
                    await visit.take_images(images("low", detail))
                assert caught.value.param == "p1.detail"
                assert f"'{most}' at most" in caught.value.message

    asyncio.run(run())


def test_images(tmp_path: Path) -> None:
    """A minute's budget; a request that is larger than that would never pass, so that it is no 429."""
    gate, key = gate_of(tmp_path, images_per_minute=3)

    async def run() -> None:
        async with gate.enter(key) as visit:
            await visit.take_images([])
            with pytest.raises(InvalidRequest) as never:
                await visit.take_images(images("low", "low", "low", "low"))
            assert (never.value.param, never.value.code) == ("p3", "too_many_images")
            await visit.take_images(images("low", "low"))
            with pytest.raises(RateLimitReached, match=r"for images: .* of which 1 are left, .* needs 2"):
                await visit.take_images(images("low", "low"))
            await visit.take_images(images("low"))

    asyncio.run(run())


def test_pages(tmp_path: Path) -> None:
    """A file counts as one image until its pages are known; then each of them counts."""
    gate, key = gate_of(tmp_path, images_per_minute=6, max_detail="low")
    file = DocumentPlaceholder("data:,", "low", "p.file_data", "p")

    async def run() -> None:
        async with gate.enter(key) as visit:
            shown: list[ImagePlaceholder | DocumentPlaceholder] = [*images("low"), file]
            await visit.take_images(shown)
            await visit.take_pages(shown, [1, 1])
            with pytest.raises(InvalidRequest, match="the request has 7 images") as never:
                await visit.take_pages(shown, [1, 6])
            assert (never.value.param, never.value.code) == ("p.file_data", "too_many_images")
            await visit.take_pages(shown, [1, 3])
            with pytest.raises(RateLimitReached, match=r"for images: .* of which 2 are left, .* needs 3"):
                await visit.take_pages(shown, [1, 4])
            both: list[ImagePlaceholder | DocumentPlaceholder] = [
                file,
                replace(file, param="q.file_data"),
                *images("low"),
            ]
            for counts, param in (([4, 3, 1], "q.file_data"), ([7, 1, 1], "p.file_data"), ([4, 2, 1], "p0")):
                with pytest.raises(InvalidRequest, match="images; the key's limit is 6") as never:
                    await visit.take_pages(both, counts)
                assert never.value.param == param
            await visit.take_images([file])
            with pytest.raises(InvalidRequest) as caught:
                await visit.take_images([replace(file, detail="high")])
            assert caught.value.param == "p.detail"

    asyncio.run(run())


def test_tokens(tmp_path: Path) -> None:
    """The prompt's are counted before, the answer's at the end, also beyond what is left."""
    gate, key = gate_of(tmp_path, tokens_per_minute=100)

    async def visit_with(prompt: int, completion: int) -> KeyVisit:
        async with gate.enter(key) as visit:
            await visit.begin()
            await visit.take_prompt(prompt, "input")
            visit.answering(lambda: TokenCounts(prompt, completion, 0, 0))
        return visit

    async def run() -> None:
        with pytest.raises(InvalidRequest, match="101 tokens; the key's limit is 100 per minute"):
            await visit_with(101, 0)
        visit = await visit_with(50, 20)
        headers = visit.headers()
        assert headers["x-ratelimit-limit-tokens"] == "100"
        assert headers["x-ratelimit-remaining-tokens"] == "50"
        with pytest.raises(RateLimitReached, match="of which 30 are left, and the request needs 31"):
            await visit_with(31, 0)
        await visit_with(29, 500)
        with pytest.raises(RateLimitReached, match="of which 0 are left"):
            await visit_with(1, 0)

    asyncio.run(run())
