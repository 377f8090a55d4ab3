"""Prompts are encoded exactly as the reference does, and nothing typed becomes a control token."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from golden.vectors import conversation_of, read_translation
from phiserve.chat.encoder import RUST_WHITESPACE, PromptEncoder, load_plain_tokenizer
from phiserve.chat.special_tokens import ADDED_TOKENS, ORDINARY_TOKENS, Control
from phiserve.core import Conversation, ImagePlaceholder, Part, RawPrompt, Turn
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.translation import build_conversation
from phiserve.vision.sizes import plan_crops

IMAGE = ImagePlaceholder("", "high", "")


def user(*parts: Part) -> Conversation:
    return Conversation((Turn("user", parts),))


def test_golden_translation(golden: Path, reference: Path) -> None:
    """Every line of translation.jsonl gives the reference's ids."""
    encoder = PromptEncoder.load(reference / "tokenizer.json")
    vectors = read_translation(golden / "translation.jsonl")
    for vector in vectors:
        tokens = [plan_crops(*size, vector.max_crops).num_tokens for size in vector.sizes]
        ids = encoder.encode(conversation_of(vector.prompt)).ids(tokens)
        assert ids == [Control.IMAGE if token < 0 else token for token in vector.ids], vector.prompt
    assert len(vectors) == 134


def test_structure(encoder: PromptEncoder, tokenizer_json: Path) -> None:
    """A text-only prompt starts with one <s>, and equals the whole prompt string run through the full
    tokenizer.
    """
    conversation = Conversation(
        (
            Turn("system", ("Be terse.",)),
            Turn("user", ("Hi",)),
            Turn("assistant", ("  Hello",)),
            Turn("user", ("Bye",)),
        )
    )
    prompt = (
        "<|system|>\nBe terse.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\n  Hello<|end|>\n"
        "<|user|>\nBye<|end|>\n<|assistant|>\n"
    )
    expected = Tokenizer.from_file(str(tokenizer_json)).encode(prompt).ids
    assert encoder.encode(conversation).ids([]) == expected


def test_each_segment_around_an_image_has_its_own_bos(encoder: PromptEncoder) -> None:
    """`<s>` opens the prompt and follows every image, as in the reference."""
    prompt = encoder.encode(user(IMAGE, "\n", IMAGE, "\nCompare."))
    assert [segment[0] for segment in prompt.segments] == [Control.BOS] * 3
    assert prompt.ids([3, 2]).count(Control.IMAGE) == 5
    first, second = prompt.image_offsets([3, 2])
    ids = prompt.ids([3, 2])
    assert ids[first : first + 3] == [Control.IMAGE] * 3
    assert ids[second : second + 2] == [Control.IMAGE] * 2
    assert prompt.num_text_tokens == len(ids) - 5


@pytest.mark.parametrize(
    "typed", ["<|end|>", "<|system|>", "<|image_1|>", "<|image|>", "</s>", "<s>", "<unk>", "<0x0A>"]
)
def test_typed_control_tokens_stay_text(encoder: PromptEncoder, typed: str) -> None:
    """What a person types comes back as what they typed."""
    ids = encoder.encode_text(f"a{typed}b")
    assert all(2 < token < ORDINARY_TOKENS for token in ids)
    assert Tokenizer.decode(encoder._plain, ids, skip_special_tokens=False) == f"a{typed}b"


@pytest.fixture(scope="module", params=["assembled", "reference"])
def any_encoder(request: pytest.FixtureRequest) -> PromptEncoder:
    """The assembled tokenizer and, where it is at hand, the model's own."""
    if request.param == "assembled":
        assembled: PromptEncoder = request.getfixturevalue("encoder")
        return assembled
    return PromptEncoder.load(request.getfixturevalue("reference") / "tokenizer.json")


anything = st.text(st.characters(exclude_categories=["Cs"]))
mischief = st.lists(
    st.one_of(anything, st.sampled_from([*ADDED_TOKENS.values(), "<|image_1|>", "\n", " "]))
).map("".join)


def plain(text: str) -> str:
    """Text as the tokenizer sees it: U+2581 is its own spelling of a space, for the reference too."""
    return text.replace("\u2581", " ")


@given(mischief)
def test_text_round_trips_without_control_ids(any_encoder: PromptEncoder, text: str) -> None:
    """Any text encodes to ordinary tokens only, and decodes to itself."""
    ids = any_encoder.encode_text(text)
    assert all(2 < token < ORDINARY_TOKENS for token in ids)
    assert any_encoder._plain.decode(ids, skip_special_tokens=False) == plain(text)


def texts(draw: st.DrawFn, kind: str) -> list[dict[str, str]]:
    """A list of parts of one kind that carries text."""
    return [{"type": kind, kind: text} for text in draw(st.lists(mischief, min_size=1, max_size=3))]


@st.composite
def messages(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A message of every role, with mischief in every field that carries text and an image among the user's
    parts.
    """
    image = {"type": "image_url", "image_url": {"url": draw(mischief)}}
    call = {
        "id": draw(mischief),
        "type": "function",
        "function": {"name": draw(mischief), "arguments": draw(mischief)},
    }
    return [
        {"role": "system", "content": draw(mischief)},
        {"role": "user", "content": [*texts(draw, "text"), image, *texts(draw, "text")]},
        {"role": "assistant", "content": draw(mischief), "refusal": draw(mischief), "tool_calls": [call]},
        {"role": "tool", "tool_call_id": draw(mischief), "content": texts(draw, "text")},
        {"role": "assistant", "content": [*texts(draw, "text"), *texts(draw, "refusal")]},
        {"role": "developer", "content": texts(draw, "text")},
        {"role": "user", "content": draw(mischief)},
    ]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(messages())
def test_no_field_can_smuggle_control_ids(any_encoder: PromptEncoder, messages: list[dict[str, Any]]) -> None:
    """Whatever stands in any field that carries text, control ids are exactly the structure's, and decoding
    gives the text.
    """
    request = ChatCompletionRequest.model_validate({"model": "m", "messages": messages})
    conversation = build_conversation(request.messages)
    prompt = any_encoder.encode(conversation)
    ids = prompt.ids([1])
    roles = [
        Control.SYSTEM,
        Control.USER,
        Control.ASSISTANT,
        Control.USER,
        Control.ASSISTANT,
        Control.SYSTEM,
        Control.USER,
    ]
    structure = [Control.BOS]
    for number, role in enumerate(roles):
        structure += [role, *([Control.IMAGE, Control.BOS] if number == 1 else []), Control.END]
    assert [token for token in ids if token >= ORDINARY_TOKENS or token <= 2] == [
        *structure,
        Control.ASSISTANT,
    ]
    assert [decoded(any_encoder, ids)] == [plain("".join(shown(turn) for turn in conversation.turns))]


def shown(turn: Turn) -> str:
    """A turn's text with its newlines; what follows `<|assistant|>` loses its leading white space, as in the
    reference.
    """
    text = "\n" + "".join(part for part in turn.parts if isinstance(part, str))
    return (text.lstrip(RUST_WHITESPACE) if turn.role == "assistant" else text) + "\n"


def decoded(encoder: PromptEncoder, ids: list[int]) -> str:
    """The text between control ids, put together again."""
    text = ""
    run: list[int] = []
    for token in ids:
        if token >= ORDINARY_TOKENS or token <= 2:
            text += encoder._plain.decode(run, skip_special_tokens=False)
            run = []
        else:
            run.append(token)
    return text


def test_whitespace_after_assistant_is_what_the_tokenizers_library_strips(tokenizer_json: Path) -> None:
    """Our list of white space is the library's: checked for every character of the basic plane."""
    full = Tokenizer.from_file(str(tokenizer_json))
    plain = load_plain_tokenizer(tokenizer_json)
    candidates = [chr(code) for code in range(0x3100) if chr(code).isspace() or chr(code) in RUST_WHITESPACE]
    for character in candidates:
        stripped = (
            full.encode(f"<|assistant|>{character}x", add_special_tokens=False).ids[1:]
            == plain.encode("x").ids
        )
        assert stripped == (character in RUST_WHITESPACE), hex(ord(character))


@pytest.mark.parametrize("text", ["Once upon", " a time", "\nx", "  two", "日本 wörld", "a\n\nb"])
def test_a_raw_prompt_is_encoded_as_the_tokenizer_encodes_text(reference: Path, text: str) -> None:
    """Behind `<s>`, with the prefix space, by the whole tokenizer.json."""
    ids = PromptEncoder.load(reference / "tokenizer.json").encode(RawPrompt(text)).ids([])
    assert ids == Tokenizer.from_file(str(reference / "tokenizer.json")).encode(text).ids


@pytest.mark.parametrize("content", ADDED_TOKENS.values())
def test_no_control_token_arises_from_a_raw_prompt(encoder: PromptEncoder, content: str) -> None:
    """Its spelling is text; only `<s>` precedes it."""
    bos, *ids = encoder.encode(RawPrompt(f"a{content} b")).ids([])
    assert bos == Control.BOS
    assert ids == encoder.encode_text(f"a{content} b")
    assert not {*ids} & ADDED_TOKENS.keys()


def test_ids_are_taken_as_they_are(encoder: PromptEncoder) -> None:
    """No `<s>` is added."""
    assert encoder.encode(RawPrompt((5, 6, 7))).ids([]) == [5, 6, 7]


@pytest.mark.parametrize("end", ["The picture shows", "  a", "one \n", "x", "<|end|>"])
def test_an_open_turn_ends_the_prompt(encoder: PromptEncoder, end: str) -> None:
    """The ids are those of the closed turn, as the reference's template has them, up to its `<|end|>`."""
    turns = (Turn("user", ("Hi",)), Turn("assistant", (end,)))
    closed = encoder.encode(Conversation(turns)).ids([])
    ids = encoder.encode(Conversation(turns, is_open=True)).ids([])
    last_end = len(closed) - 1 - closed[::-1].index(Control.END)
    assert ids == closed[:last_end]


def test_an_open_turn_is_the_templates(encoder: PromptEncoder, tokenizer_json: Path) -> None:
    """The same as the whole tokenizer makes of the prompt string without its last `<|end|>`."""
    turns = (Turn("system", ("Be terse.",)), Turn("user", ("Hi",)), Turn("assistant", ("Hello, you",)))
    prompt = "<|system|>\nBe terse.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\nHello, you"
    expected = Tokenizer.from_file(str(tokenizer_json)).encode(prompt).ids
    assert encoder.encode(Conversation(turns, is_open=True)).ids([]) == expected


def test_an_open_turn_without_text_is_the_generation_prompt(encoder: PromptEncoder) -> None:
    """There is nothing to go on with yet."""
    user_turn = Turn("user", ("Hi",))
    empty = Conversation((user_turn, Turn("assistant", ())), is_open=True)
    assert encoder.encode(empty) == encoder.encode(Conversation((user_turn,)))


def test_a_raw_text_without_bos(encoder: PromptEncoder) -> None:
    """Its ids alone."""
    ids = encoder.encode(RawPrompt("a b", with_bos=False)).ids([])
    assert ids == encoder.encode_text("a b")
