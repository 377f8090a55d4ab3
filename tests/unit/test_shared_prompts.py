"""Prompts that share their beginning are the very prompts that they would be one by one."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from images import data_url, encode, noise
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.joining import join_parts
from phiserve.core import Conversation, ImagePlaceholder, Part, Turn
from phiserve.errors import ContextLengthExceeded, InvalidRequest
from phiserve.preparation import PreparedPrompt, PromptLimits, PromptPreparer
from phiserve.shared_prompts import Ending, Parts, SharedPreparer
from phiserve.vision.images import ImageService

IMAGE = ImagePlaceholder(data_url(encode(noise(640, 480))), "auto", "input[0].content[0].image_url")
OTHER = ImagePlaceholder(data_url(encode(noise(90, 90))), "low", "questions[0].instructions[0].image_url")
LISTED = ("\n\n- A: a\n- B: b", "\n\n- A: b\n- B: a\nOr none.")
QUESTIONS = (
    Ending(("\n\nWhat?",), LISTED),
    Ending(("\n\nLike this?\n", OTHER, "\n"), ("\n\n- A: No",)),
)

MakeShared = Callable[..., SharedPreparer]


@pytest.fixture
def make_shared(encoder: PromptEncoder, image_service: ImageService) -> MakeShared:
    """Builds what prepares prompts that share their beginning."""

    def make(context_tokens: int = 4096, max_images: int = 4) -> SharedPreparer:
        return SharedPreparer(encoder, image_service, PromptLimits(context_tokens, 16, max_images, 64))

    return make


def asked(head: str, tail: str = "\n\n- A: a") -> Ending:
    """An ending of texts."""
    return Ending((head,), (tail,))


def prepared(
    preparer: SharedPreparer, conversation: Conversation, *endings: Ending
) -> list[list[PreparedPrompt]]:
    """All prompts, by their endings."""

    async def prepare() -> list[list[PreparedPrompt]]:
        shared, ends = await preparer.prepare(conversation, endings)
        prompts = [
            [preparer.prompt(shared, end, tail) for tail in range(len(ending.tails))]
            for end, ending in zip(ends, endings, strict=True)
        ]
        for end, (first, *_) in zip(ends, prompts, strict=True):
            assert len(first.ids) == shared.num_tokens + end.num_tokens
        return prompts

    return asyncio.run(prepare())


def whole(turns: tuple[Turn, ...], head: Parts, tail: str) -> Conversation:
    """The conversation with an ending in its last turn, as one."""
    parts: list[Part] = []
    for part in (*turns[-1].parts, *head, tail):
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] += part
        else:
            parts.append(part)
    return Conversation((*turns[:-1], Turn("user", tuple(parts))))


@pytest.mark.parametrize(
    "turns",
    [
        (Turn("user", ("Look.",)),),
        (Turn("user", join_parts([IMAGE])),),
        (Turn("system", ("Be brief.",)), Turn("user", join_parts(["See", IMAGE, "this"]))),
        (Turn("user", ("Hi",)), Turn("assistant", ("Yes?",)), Turn("user", ())),
    ],
    ids=["text", "image", "several", "empty"],
)
def test_the_same_as_one_by_one(
    make_shared: MakeShared, make_preparer: Callable[..., PromptPreparer], turns: tuple[Turn, ...]
) -> None:
    """Ids and images with their places."""
    every = prepared(make_shared(), Conversation(turns), *QUESTIONS)
    for prompts, ending in zip(every, QUESTIONS, strict=True):
        for prompt, tail in zip(prompts, ending.tails, strict=True):
            alone = asyncio.run(make_preparer().prepare(whole(turns, ending.head, tail), 1))
            assert prompt.ids == alone.ids
            assert [(image.encoded.digest, image.plan, image.offset) for image in prompt.images] == [
                (image.encoded.digest, image.plan, image.offset) for image in alone.images
            ]
            assert prompt.max_tokens == 1


TEXTS = st.text(st.sampled_from("ab \n\t{é1<|>\u2028:-A"), max_size=12)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(shared=TEXTS, head=TEXTS, tail=TEXTS)
def test_no_token_crosses_the_boundaries(encoder: PromptEncoder, shared: str, head: str, tail: str) -> None:
    """Whatever stands on both sides of them."""
    turn = Turn("user", join_parts([shared]))
    beginning = encoder.encode(Conversation((turn,), is_open=True))
    more, end = encoder.encode_more((f"\n\n{head}",)), encoder.encode_end(f"\n\n{tail}")
    expected = encoder.encode(whole((turn,), (f"\n\n{head}",), f"\n\n{tail}")).ids([])
    assert [*beginning.ids([]), *more.ids([]), *end] == expected


def test_an_answer_as_the_last_turn(make_shared: MakeShared, encoder: PromptEncoder) -> None:
    """The question is a turn of its own."""
    turns = (Turn("user", ("Hi",)), Turn("assistant", ("Yes?",)))
    ((prompt,),) = prepared(make_shared(), Conversation(turns), asked("\n\nWhat?"))
    expected = Conversation((*turns, Turn("user", ("\n\nWhat?\n\n- A: a",))))
    assert prompt.ids == encoder.encode(expected).ids([])


def test_images_are_fitted_with_the_longest_end(make_shared: MakeShared) -> None:
    """All prompts show them alike."""
    conversation = Conversation((Turn("user", join_parts([IMAGE])),))
    short, long = "\n\n- A: a", "\n\n" + "word " * 2200
    ((alone,),) = prepared(make_shared(), conversation, asked("\n\nWhat?"))
    for endings in ([asked("\n\nWhat?"), asked(long)], [Ending(("\n\nWhat?",), (short, long))]):
        prompts = [prompt for each in prepared(make_shared(), conversation, *endings) for prompt in each]
        (short_plan,), (long_plan,) = ([image.plan for image in prompt.images] for prompt in prompts)
        assert short_plan == long_plan
        assert len(prompts[1].ids) < 4096
        assert alone.images[0].plan.num_tokens > long_plan.num_tokens


def test_too_much_for_the_context(make_shared: MakeShared) -> None:
    """With all numbers, before anything is decoded."""
    conversation = Conversation((Turn("user", ("Hi",)),), "input")
    long = "\n\n" + "word " * 100
    for ending in (asked(long), asked("\n\nWhat?", long), Ending(("\n\nWhat?",), ("\n\n- A: a", long))):
        with pytest.raises(ContextLengthExceeded, match="maximum context length is 100 tokens") as refusal:
            prepared(make_shared(100), conversation, asked("\n\nWhat?"), ending)
        assert refusal.value.param == "input"


def test_no_more_is_encoded_than_the_first_that_is_too_long(
    make_shared: MakeShared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many questions there are."""
    encoded: list[str] = []

    def encode_end(encoder: PromptEncoder, text: str) -> list[int]:
        encoded.append(text)
        return [5] * len(text)

    monkeypatch.setattr(PromptEncoder, "encode_end", encode_end)
    long = asked("\n\nWhat?", "\n\n" + "a " * 5000)
    conversation = Conversation((Turn("user", ("Hi",)),), "input")
    with pytest.raises(ContextLengthExceeded):
        prepared(make_shared(), conversation, *[long] * 10)
    assert len(encoded) == 1


LONG = "\n\n" + "a" * 3_000_000


@pytest.mark.parametrize(("said", "ending"), [(LONG, ("?",)), ("Hi", (LONG,)), ("Hi", ("?", LONG))])
def test_what_cannot_fit_is_not_encoded(
    make_shared: MakeShared, monkeypatch: pytest.MonkeyPatch, said: str, ending: tuple[str, ...]
) -> None:
    """Whatever its tokens are: told by its length, be it of the shared text or of one question."""

    def encode_none(*_: object) -> None:
        raise AssertionError("it was encoded")

    for name in ("encode", "encode_more", "encode_end"):
        monkeypatch.setattr(PromptEncoder, name, encode_none)
    conversation = Conversation((Turn("user", (said,)),), param="input")
    with pytest.raises(ContextLengthExceeded, match="at least") as refusal:
        prepared(make_shared(), conversation, asked("\n\n?"), asked(*ending))
    assert refusal.value.param == "input"


def test_too_many_images(make_shared: MakeShared) -> None:
    """Those of the questions count too; the first one too many is named."""
    conversation = Conversation((Turn("user", join_parts([IMAGE])),))
    with pytest.raises(InvalidRequest, match="the request has 2 images; the limit is 1") as refusal:
        prepared(make_shared(max_images=1), conversation, *QUESTIONS)
    assert refusal.value.param == OTHER.param


@pytest.mark.parametrize(("num_questions", "on_loop"), [(5, True), (280, False)])
def test_many_short_texts_are_encoded_off_the_event_loop(
    num_questions: int,
    on_loop: bool,
    make_shared: MakeShared,
    encoder: PromptEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each call of the tokenizer counts, however short; equal tails are one."""
    threads: list[threading.Thread] = []
    encode_end = encoder.encode_end

    def watched(text: str) -> Sequence[int]:
        threads.append(threading.current_thread())
        return encode_end(text)

    monkeypatch.setattr(encoder, "encode_end", watched)
    endings = [Ending((f"\n\nIs it {number}?",), LISTED) for number in range(num_questions)]
    prepared(make_shared(), Conversation((Turn("user", ("Hi",)),), "input"), *endings)
    assert [thread is threading.main_thread() for thread in threads] == [on_loop] * len(LISTED)
