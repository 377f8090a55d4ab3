"""What is checked when, before anything is decoded, and what a prompt turns out to be."""

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from images import image_part, noise, text_part
from phiserve.chat.encoder import EncodedPrompt, PromptEncoder
from phiserve.chat.special_tokens import Control
from phiserve.chat.truncation import without_oldest
from phiserve.core import Conversation, Prompt, RawPrompt, Role, Turn
from phiserve.errors import ContextLengthExceeded, InvalidImage, InvalidRequest
from phiserve.preparation import PreparedPrompt, PromptPreparer
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.translation import build_conversation
from phiserve.vision.images import DECODED

MakePreparer = Callable[..., PromptPreparer]


def conversation(*parts: Any) -> Conversation:
    body = {"model": "m", "messages": [{"role": "user", "content": parts}]}
    return build_conversation(ChatCompletionRequest.model_validate(body).messages)


def prepare(preparer: PromptPreparer, *parts: Any, max_tokens: int | None = None) -> PreparedPrompt:
    return asyncio.run(preparer.prepare(conversation(*parts), max_tokens))


def num_decoded() -> float:
    """Images decoded in this process so far."""
    return float(DECODED._value.get())


@pytest.fixture(autouse=True)
def _nothing_is_decoded() -> Iterator[None]:
    """Preparing reads headers alone."""
    before = num_decoded()
    yield
    assert num_decoded() == before


def test_prompt_and_offsets(make_preparer: MakePreparer) -> None:
    """Two images and text: ids, offsets and counts fit together, nothing decoded yet."""
    prompt = prepare(
        make_preparer(),
        image_part(noise(40, 30), "low"),
        image_part(noise(9, 9), "low"),
        text_part("?"),
    )
    for image in prompt.images:
        run = prompt.ids[image.offset : image.offset + image.plan.num_tokens]
        assert set(run) == {Control.IMAGE}
        assert prompt.ids[image.offset + len(run)] == Control.BOS
    assert prompt.num_image_tokens == prompt.ids.count(Control.IMAGE) == 2 * 313
    assert prompt.max_tokens == 4096 - len(prompt.ids)


def test_too_long_is_told_before_decoding(make_preparer: MakePreparer) -> None:
    """The error states the limit, the text, the images and the answer."""
    with pytest.raises(
        ContextLengthExceeded,
        match=r"2500.*2509 in image 1.*at least 1 for the answer.*\"auto\" its images would fit",
    ):
        prepare(make_preparer(2500), image_part(noise(30, 30), "high"), text_part("?"), max_tokens=500)


@pytest.mark.parametrize(
    ("details", "context", "hint"),
    [
        (["high", "high"], 3000, 'With detail "auto"'),
        (["auto", "high"], 2600, 'With detail "auto"'),
        (["auto", "auto"], 600, None),
        (["low", "low"], 600, None),
    ],
)
def test_a_lower_detail_is_offered_where_it_would_fit(
    make_preparer: MakePreparer, details: list[str], context: int, hint: str | None
) -> None:
    """And only there."""
    images = [image_part(noise(30, 30), detail) for detail in details]
    with pytest.raises(ContextLengthExceeded) as caught:
        prepare(make_preparer(context), *images)
    assert ("would fit" in caught.value.message) == (hint is not None)
    assert hint is None or hint in caught.value.message


class NeverEncodes(PromptEncoder):
    """Knows lengths, and fails the test where it is asked for ids."""

    def encode(self, conversation: Prompt) -> EncodedPrompt:
        """Fail."""
        raise AssertionError


def test_a_text_that_cannot_fit_is_not_encoded(make_preparer: MakePreparer, tokenizer_json: Path) -> None:
    """Its length alone tells; encoding megabytes first would take seconds and gigabytes. Its images are told
    all the same.
    """
    parts = [text_part("x" * 3_000_000), image_part(noise(30, 30), "high"), image_part(noise(9, 9), "auto")]
    with pytest.raises(ContextLengthExceeded) as caught:
        prepare(make_preparer(encoder=NeverEncodes.load(tokenizer_json)), *parts, max_tokens=7)
    assert re.search(
        r"4096 tokens \(max_total_tokens\)\. The request needs at least \d+: at least \d+ in the text, "
        r"2509 in image 1, 313 in image 2, at least 1 for the answer\.$",
        caught.value.message,
    )


def test_a_text_that_proves_too_long_names_the_images_too(make_preparer: MakePreparer) -> None:
    """Also one that only counting shows to be too long."""
    with pytest.raises(ContextLengthExceeded) as caught:
        prepare(make_preparer(), text_part("a b " * 3000), image_part(noise(9, 9), "low"))
    assert re.search(
        r"needs at least \d+: \d+ in the text, 313 in image 1, at least 1 for the answer",
        caught.value.message,
    )


def test_auto_gives_way_to_the_answer(make_preparer: MakePreparer) -> None:
    """`auto` leaves room for the reserve, for less where no more was asked, for what must be generated."""

    def crops(context: int, max_tokens: int | None = None, min_tokens: int = 0) -> int:
        asked = conversation(image_part(noise(30, 30)))
        preparer = make_preparer(context, reserve=64)
        prompt = asyncio.run(preparer.prepare(asked, max_tokens, min_tokens=min_tokens))
        return prompt.images[0].plan.num_crops

    assert [crops(2600), crops(2560)] == [16, 9]
    assert [crops(2600, max_tokens=1500), crops(2560, max_tokens=1500)] == [16, 9]
    assert [crops(2560, max_tokens=40), crops(2540, max_tokens=40)] == [16, 9]
    assert [crops(2600, max_tokens=1500, min_tokens=200), crops(2600, min_tokens=1500)] == [9, 4]


def test_an_answer_is_cut_where_the_context_ends(make_preparer: MakePreparer) -> None:
    """`max_tokens` is an upper bound: the answer gets what is left, down to one token."""
    prompt = prepare(make_preparer(), text_part("?"), max_tokens=100_000)
    assert prompt.max_tokens == 4096 - len(prompt.ids)
    assert prepare(make_preparer(), text_part("?"), max_tokens=7).max_tokens == 7
    exact = make_preparer(len(prompt.ids) + 1)
    assert prepare(exact, text_part("?"), max_tokens=7).max_tokens == 1
    with pytest.raises(ContextLengthExceeded, match="at least 1 for the answer"):
        prepare(make_preparer(len(prompt.ids)), text_part("?"), max_tokens=7)


def test_too_many_images(make_preparer: MakePreparer) -> None:
    """The first image over the limit is named; nothing is read."""
    with pytest.raises(InvalidRequest) as caught:
        prepare(make_preparer(max_images=1), image_part(b"x"), text_part("a"), image_part(b"y"))
    assert caught.value.param == "messages[0].content[2].image_url"


def test_the_first_bad_image_is_named(make_preparer: MakePreparer) -> None:
    """Images are read together; the error does not depend on which finished first."""
    with pytest.raises(InvalidImage) as caught:
        prepare(make_preparer(), image_part(noise(8, 8)), image_part(b"bad"), image_part(b"worse"))
    assert caught.value.param == "messages[0].content[1].image_url"


def test_long_texts_are_encoded_off_the_loop(make_preparer: MakePreparer) -> None:
    """A text of a hundred thousand words does not hold up the loop: another task keeps running meanwhile."""
    preparer = make_preparer(1_000_000)
    ticks = 0

    async def run() -> None:
        nonlocal ticks
        preparing = asyncio.create_task(preparer.prepare(conversation(text_part("word " * 100_000))))
        while not preparing.done():
            await asyncio.sleep(0.001)
            ticks += 1
        await preparing

    asyncio.run(run())
    assert ticks > 5


def test_a_raw_prompt_is_held_against_the_context(make_preparer: MakePreparer) -> None:
    """Its ids are the prompt, the answer takes what is left; too many are refused at the prompt's path."""
    preparer = make_preparer(context_tokens=10)
    prepared = asyncio.run(preparer.prepare(RawPrompt((5, 6, 7))))
    assert (prepared.ids, prepared.images, prepared.max_tokens) == ([5, 6, 7], (), 7)
    for content in ((5,) * 10, "a " * 10_000):
        with pytest.raises(ContextLengthExceeded) as caught:
            asyncio.run(preparer.prepare(RawPrompt(content, "prompt[2]")))
        assert caught.value.param == "prompt[2]"


WORDS = "word " * 30


def chat(*texts: str, truncates: bool = True) -> Conversation:
    """Instructions, then turns of the user and of the assistant in turn."""
    roles: tuple[Role, ...] = ("user", "assistant")
    turns = (Turn(roles[number % 2], (text,)) for number, text in enumerate(texts))
    return Conversation((Turn("system", ("Be brief.",)), *turns), "input", truncates=truncates)


def ids_of(preparer: PromptPreparer, conversation: Conversation) -> list[int]:
    return asyncio.run(preparer.prepare(conversation)).ids


def test_the_oldest_turns_are_left_out(make_preparer: MakePreparer) -> None:
    """As few as leave room for an answer."""
    whole = chat(WORDS, WORDS, WORDS, WORDS, "And now?")
    preparer = make_preparer(context_tokens=len(ids_of(make_preparer(), whole)) - 1)
    assert ids_of(preparer, whole) == ids_of(preparer, without_oldest(whole, 2))
    assert asyncio.run(preparer.prepare(whole)).max_tokens >= 64
    assert asyncio.run(preparer.prepare(without_oldest(whole, 1))).max_tokens < 64


def test_what_fits_stays_whole(make_preparer: MakePreparer) -> None:
    """And what is not to be truncated is refused; so is a last turn that does not fit."""
    whole = chat(WORDS, WORDS, "And now?")
    enough = len(ids_of(make_preparer(), whole)) + 1
    assert len(ids_of(make_preparer(context_tokens=enough), whole)) == enough - 1
    with pytest.raises(ContextLengthExceeded):
        ids_of(make_preparer(context_tokens=60), chat(WORDS, WORDS, "And now?", truncates=False))
    with pytest.raises(ContextLengthExceeded):
        ids_of(make_preparer(context_tokens=20), chat("Hi", "Hello", WORDS))
