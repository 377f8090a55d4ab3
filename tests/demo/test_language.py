"""Prompts are the server's own ids; answers are ids that decode to what is said, each character in its
place.
"""

import random
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from demo.language import branch, encode_answer, encode_turns, encode_words, user, varied
from demo.scene import Copied, Literal, Seen, Written, text_of
from demo.talk import NO_PICTURE, REFUSAL, TALK
from drawings import KINDS, scenes
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.special_tokens import Control
from phiserve.core import Turn
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.translation import build_conversation

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
ASKED = "Which bar is the highest?"


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


TEXT = text(ASKED)


@pytest.fixture(scope="module")
def tokenizer(tokenizer_json: Path) -> Tokenizer:
    return Tokenizer.from_file(str(tokenizer_json))


@pytest.mark.parametrize(
    ("turns", "messages"),
    [
        ((user(ASKED),), [{"role": "user", "content": ASKED}]),
        ((user(ASKED, pictures=1),), [{"role": "user", "content": [IMAGE, TEXT]}]),
        ((user(ASKED, pictures=2),), [{"role": "user", "content": [IMAGE, IMAGE, TEXT]}]),
        ((user(ASKED, pictures=1, layout="question first"),), [{"role": "user", "content": [TEXT, IMAGE]}]),
        (
            (user(ASKED, pictures=2, layout="labelled"),),
            [{"role": "user", "content": [text("Image 1:"), IMAGE, text("Image 2:"), IMAGE, TEXT]}],
        ),
        (
            (
                Turn("system", ("Be concise.",)),
                user(ASKED, pictures=1),
                Turn("assistant", ("May.",)),
                user("And the lowest?"),
            ),
            [
                {"role": "system", "content": "Be concise."},
                {"role": "user", "content": [IMAGE, TEXT]},
                {"role": "assistant", "content": "May."},
                {"role": "user", "content": "And the lowest?"},
            ],
        ),
    ],
)
def test_prompts_are_the_server_s(
    turns: tuple[Turn, ...], messages: list[dict[str, Any]], encoder: PromptEncoder
) -> None:
    """The same conversation as OpenAI messages is encoded to the same segments of ids."""
    request = ChatCompletionRequest.model_validate({"model": "m", "messages": messages})
    assert encode_turns(turns) == encoder.encode(build_conversation(request.messages)).segments


@pytest.mark.parametrize("kind", KINDS)
def test_answers_decode(kind: str, tokenizer: Tokenizer) -> None:
    """The ids of an answer decode to its text, and end with the token that ends a turn."""
    for scene in scenes(kind):
        for exchange in scene.exchanges:
            ids, places = encode_answer(exchange.answer)
            assert len(ids) == len(places)
            assert ids[-1] == Control.END
            assert tokenizer.decode(list(ids)) == text_of(exchange.answer)


@pytest.mark.parametrize("said", [REFUSAL, NO_PICTURE, *(answer for _, answer in TALK)])
def test_talk_decodes(said: str, tokenizer: Tokenizer) -> None:
    """So do answers without a picture."""
    assert tokenizer.decode(list(encode_words(said))) == said.strip()


def test_each_character_has_its_place() -> None:
    """What is read takes one token a character, with the glyph's place; other words have none, those of a
    shape the shape's.
    """
    glyph = scenes("line")[0].canvas.glyphs[0]
    answer = (Literal(" It says"), Copied(" x", (None, glyph)), Seen(" a cat", 5.0, 6.0), Literal("."))
    ids, places = encode_answer(answer)
    assert places == (None, None, None, (glyph.x, glyph.y), (5.0, 6.0), (5.0, 6.0), None, None)
    assert ids[2:4] == (*encode_words(" "), *encode_words("x"))


def test_words_fall_to_letters() -> None:
    """A word that is no token is spelt; digits are always single."""
    assert len(encode_words(" picture")) == 1
    assert len(encode_words(" qzxkw")) == 6
    assert len(encode_words("1234")) == 4


def test_carelessly_typed() -> None:
    """Most questions stay as they are; some lose their mark, some their capital, a few both."""
    rng = random.Random(0)
    typed = [varied("What is this?", rng) for _ in range(2000)]
    assert {*typed} == {"What is this?", "What is this", "what is this?", "what is this"}
    assert 0.77 < typed.count("What is this?") / len(typed) < 0.85


def test_a_branch_is_what_follows_the_pictures() -> None:
    """Its prompt is the last segment of the conversation, from the `<s>` that follows a picture on."""
    turns = (user(ASKED, pictures=2),)
    made = branch(turns, (Literal(" Yes."),))
    assert made.prompt == encode_turns(turns)[2]
    assert made.prompt[0] == Control.BOS
    assert made.answer == (*encode_words(" Yes."), Control.END)
    assert made.places == (None,) * len(made.answer)


def test_what_is_written_is_in_the_tokenizer_s_own_tokens(tokenizer: Tokenizer) -> None:
    """At an answer's beginning with the space that a turn's first word has; behind a letter without one."""
    call = 'look[{"name":"a'
    ids, places = encode_answer((Written(call), Written('"}}]')))
    first = tokenizer.encode(call, add_special_tokens=False).ids
    assert ids[: len(first)] == tuple(first)
    assert tokenizer.decode([*ids[:-1]]) == call + '"}}]'
    assert [*places] == [None] * len(ids)
