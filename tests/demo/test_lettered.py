"""Prompts are the server's own for a request for a decision, id for id, and answers are its labels."""

from typing import Any

import pytest
from PIL import Image

from deciding import put_to_engine
from demo.decoder import IMAGE_TOKENS
from demo.language import token_ids, user
from demo.lettered import encode_open, labels, lettered
from demo.posting import data_url
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.special_tokens import Control
from phiserve.core import Turn
from phiserve.decisions.labels import Labels
from phiserve.decisions.questions import Option, Question, orders

IMAGE = {"type": "input_image", "image_url": data_url(Image.new("RGB", (400, 300), (200, 30, 30)))}
WORDS = {token: word for word, token in token_ids().items()}

QUESTIONS: list[tuple[Question, dict[str, Any]]] = [
    (
        Question("predicate", ("Is there a red shape?",), (Option("No"), Option("Yes")), ""),
        {"type": "predicate", "instructions": "Is there a red shape?"},
    ),
    (
        Question(
            "choice",
            ("what color is the circle",),
            (Option("red"), Option("blue", "It is blue"), Option("gray")),
            "",
        ),
        {
            "type": "choice",
            "instructions": "what color is the circle",
            "choices": [{"value": "red"}, {"value": "blue", "description": "It is blue"}, {"value": "gray"}],
        },
    ),
    (
        Question("score", ("How many?",), tuple(map(Option, ("none", "one", "two", "three"))), ""),
        {
            "type": "score",
            "instructions": "How many?",
            "levels": [{"label": label} for label in ("none", "one", "two", "three")],
        },
    ),
]

SHOWN: list[tuple[tuple[Turn, ...], Any]] = [
    ((user("", pictures=1),), [{"role": "user", "content": [IMAGE]}]),
    ((user("The shape is red."),), "The shape is red."),
    (
        (Turn("system", ("Be concise.",)), user("", pictures=1)),
        [{"role": "system", "content": "Be concise."}, {"role": "user", "content": [IMAGE]}],
    ),
]


@pytest.mark.parametrize(("question", "wire"), QUESTIONS, ids=["predicate", "choice", "score"])
@pytest.mark.parametrize(("turns", "given"), SHOWN, ids=["picture", "text", "system turn"])
def test_the_server_s_own(
    encoder: PromptEncoder, turns: tuple[Turn, ...], given: Any, question: Question, wire: dict[str, Any]
) -> None:
    """In every order, and the label is that of the right option where that order shows it."""
    every = orders(len(question.options), 4)
    put = put_to_engine(encoder, {"input": given, "questions": [wire]}, num_orders=4)
    assert len(put) == len(every)
    for order, server in zip(every, put, strict=True):
        one = lettered(turns, question, 1, order)
        before: list[int] = []
        for segment in encode_open(turns).segments[:-1]:
            before += [*segment, *[Control.IMAGE.value] * IMAGE_TOKENS]
        assert [*before, *one.prompt] == server.prompt_ids
        assert one.answer == (server.label_ids[order.index(1)],)
        assert one.places == (None,)


def test_labels(encoder: PromptEncoder) -> None:
    """Are those that the server reads."""
    assert labels() == Labels.load(encoder)


@pytest.mark.parametrize("question", [question for question, _ in QUESTIONS])
def test_where_options_end(question: Question) -> None:
    """Each with the last token of its line, counted from the prompt's end."""
    (order, *_) = orders(len(question.options), 1)
    one = lettered((user("It is red."),), question, 1, order)
    last = [WORDS[one.prompt[-1 - offset]] for offset in one.ends]
    expected = {
        "predicate": ["No", "Yes"],
        "choice": ["red", ")", "gray"],
        "score": ["none", "one", "two", "three"],
    }[question.kind]
    assert [word.removeprefix("\u2581") for word in last] == expected
    assert one.right == 1
    turned = lettered((user("It is red."),), question, 1, order[::-1])
    assert turned.right == len(order) - 2
