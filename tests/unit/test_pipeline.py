"""The orchestration: what is checked when, and what the engine is handed."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from images import image_part, noise, text_part
from phiserve.chat.special_tokens import Control
from phiserve.errors import ContextLengthExceeded, InvalidImage, InvalidRequest
from phiserve.pipeline import ChatPipeline, PreparedChat
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.vision import images as images_module
from scripted import ScriptedEngine, delta

MakePipeline = Callable[..., ChatPipeline]


def request(*parts: Any, **fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest.model_validate(
        {"model": "m", "messages": [{"role": "user", "content": parts}]} | fields
    )


def prepare(pipeline: ChatPipeline, *parts: Any, **fields: Any) -> PreparedChat:
    return asyncio.run(pipeline.prepare(request(*parts, **fields)))


@pytest.fixture
def nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding fails the test."""
    monkeypatch.setattr(images_module, "decode_pixels", None)


@pytest.mark.usefixtures("nothing_is_decoded")
def test_prompt_and_places(make_pipeline: MakePipeline) -> None:
    """Two images and text: ids, offsets and counts fit together, nothing decoded yet."""
    chat = prepare(
        make_pipeline(ScriptedEngine()),
        image_part(noise(40, 30), "low"),
        image_part(noise(9, 9), "low"),
        text_part("?"),
    )
    for image in chat.images:
        run = chat.prompt_ids[image.offset : image.offset + image.plan.num_tokens]
        assert set(run) == {Control.IMAGE}
        assert chat.prompt_ids[image.offset + len(run)] == Control.BOS
    assert chat.num_image_tokens == chat.prompt_ids.count(Control.IMAGE) == 2 * 313
    assert chat.max_tokens == 4096 - len(chat.prompt_ids)


@pytest.mark.usefixtures("nothing_is_decoded")
def test_too_long_is_told_before_decoding(make_pipeline: MakePipeline) -> None:
    """The error states the limit, the text, the images and the answer."""
    engine = ScriptedEngine(context_tokens=3000)
    with pytest.raises(
        ContextLengthExceeded,
        match=r"3000.*2509 in image 1.*500 for the answer.*\"auto\" its images would fit",
    ):
        prepare(make_pipeline(engine), image_part(noise(30, 30), "high"), text_part("?"), max_tokens=500)
    assert engine.generations == []


@pytest.mark.usefixtures("nothing_is_decoded")
@pytest.mark.parametrize(
    ("details", "answer", "hint"),
    [
        (["high", "high"], 10, 'With detail "auto"'),
        (["auto", "high"], 2000, 'With detail "auto"'),
        (["auto", "auto"], 2400, None),
        (["low", "low"], 2900, None),
    ],
)
def test_a_lower_detail_is_offered_where_it_would_fit(
    make_pipeline: MakePipeline, details: list[str], answer: int, hint: str | None
) -> None:
    """And only there."""
    images = [image_part(noise(30, 30), detail) for detail in details]
    with pytest.raises(ContextLengthExceeded) as caught:
        prepare(make_pipeline(ScriptedEngine(context_tokens=3000)), *images, max_tokens=answer)
    assert ("would fit" in caught.value.message) == (hint is not None)
    assert hint is None or hint in caught.value.message


@pytest.mark.usefixtures("nothing_is_decoded")
def test_a_text_that_cannot_fit_is_not_encoded(
    make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its length alone tells; encoding megabytes first would take seconds and gigabytes. Its images are told
    all the same.
    """
    monkeypatch.setattr("phiserve.chat.encoder.PromptEncoder.encode", None)
    parts = [text_part("x" * 3_000_000), image_part(noise(30, 30), "high"), image_part(noise(9, 9), "auto")]
    with pytest.raises(ContextLengthExceeded) as caught:
        prepare(make_pipeline(ScriptedEngine()), *parts, max_tokens=7)
    assert re.search(
        r"4096 tokens \(max_total_tokens\)\. The request needs at least \d+: at least \d+ in the text, 2509 in image 1, "
        r"313 in image 2, 7 for the answer\.$",
        caught.value.message,
    )


@pytest.mark.usefixtures("nothing_is_decoded")
def test_a_text_that_proves_too_long_names_the_images_too(make_pipeline: MakePipeline) -> None:
    """Also one that only counting shows to be too long."""
    with pytest.raises(ContextLengthExceeded) as caught:
        prepare(make_pipeline(ScriptedEngine()), text_part("a b " * 3000), image_part(noise(9, 9), "low"))
    assert re.search(
        r"needs at least \d+: \d+ in the text, 313 in image 1, at least 1 for the answer",
        caught.value.message,
    )


def test_auto_gives_way_to_the_answer(make_pipeline: MakePipeline) -> None:
    """`auto` leaves room for what was asked, or for the reserve where the request leaves it open."""
    pipeline = make_pipeline(ScriptedEngine(context_tokens=2600), reserve=64)
    image = image_part(noise(30, 30))
    assert prepare(pipeline, image).images[0].plan.num_crops == 16
    assert prepare(pipeline, image, max_tokens=200).images[0].plan.num_crops == 9
    assert prepare(pipeline, image, max_tokens=1500).images[0].plan.num_crops == 4
    assert (
        prepare(make_pipeline(ScriptedEngine(context_tokens=2560), reserve=64), image)
        .images[0]
        .plan.num_crops
        == 9
    )


def test_too_many_images(make_pipeline: MakePipeline) -> None:
    """The first image over the limit is named; nothing is read."""
    with pytest.raises(InvalidRequest) as caught:
        prepare(
            make_pipeline(ScriptedEngine(), max_images=1), image_part(b"x"), text_part("a"), image_part(b"y")
        )
    assert caught.value.param == "messages[0].content[2].image_url"


def test_the_first_bad_image_is_named(make_pipeline: MakePipeline) -> None:
    """Images are read together; the error does not depend on which finished first."""
    with pytest.raises(InvalidImage) as caught:
        prepare(
            make_pipeline(ScriptedEngine()), image_part(noise(8, 8)), image_part(b"bad"), image_part(b"worse")
        )
    assert caught.value.param == "messages[0].content[1].image_url"


def test_same_image_same_key(make_pipeline: MakePipeline) -> None:
    """The engine's caches see equal images as equal, and another detail as another image."""
    engine = ScriptedEngine([delta("x", finish="stop")])
    pipeline = make_pipeline(engine)

    async def run() -> None:
        parts = [
            image_part(noise(30, 30), "low"),
            image_part(noise(30, 30), "low"),
            image_part(noise(30, 30), "high"),
        ]
        async for _ in pipeline.deltas(await pipeline.prepare(request(*parts))):
            pass

    asyncio.run(run())
    first, second, third = (image.key for image in engine.generations[0].images)
    assert first == second != third


def test_long_texts_are_encoded_off_the_loop(make_pipeline: MakePipeline) -> None:
    """A text of a hundred thousand words does not hold up the loop: another task keeps running meanwhile."""
    pipeline = make_pipeline(ScriptedEngine(context_tokens=1_000_000))
    ticks = 0

    async def run() -> None:
        nonlocal ticks
        preparing = asyncio.create_task(pipeline.prepare(request(text_part("word " * 100_000))))
        while not preparing.done():
            await asyncio.sleep(0.001)
            ticks += 1
        await preparing

    asyncio.run(run())
    assert ticks > 5
