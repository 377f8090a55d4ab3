"""Every token that is asked with or answered is trained, and few others."""

import random
from typing import get_args

import pytest

from demo.language import encode_answer, encode_turns, user
from demo.lettered import labels, lettered
from demo.pairs import compare
from demo.posed import MOST_OPTIONS, drawn
from demo.posed_pictures import posed, posed_of_any
from demo.scene import Exchange
from demo.talk import ASKED_WITHOUT, OFF_TOPIC, SYSTEM_PROMPTS, TALK
from demo.vocabulary import ids_before_letters, ids_of, questions, row_of, trained_ids
from drawings import KINDS, scenes
from phiserve.chat.special_tokens import Control
from phiserve.core import Turn
from phiserve.decisions.questions import Kind

TRAINED = {*trained_ids()}


def asking(wording: str) -> Turn:
    return user(wording, pictures=1)


def untrained(exchange: Exchange) -> set[int]:
    """Tokens of questions and answer that training does not know."""
    asked = {
        token for turn in map(asking, exchange.questions) for ids in encode_turns((turn,)) for token in ids
    }
    return (asked | {*encode_answer(exchange.answer)[0]}) - TRAINED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("held_out", [False, True])
def test_all_that_is_asked_and_answered(kind: str, held_out: bool) -> None:
    """No question or answer about any picture, held out or not, needs a token that is not trained."""
    first = scenes("shapes")[0]
    for scene in scenes(kind, held_out=held_out):
        for exchange in (*scene.exchanges, *compare(first, scene)):
            assert untrained(exchange) == set()


def test_talk_and_system_turns() -> None:
    """Nor does talk, nor a system turn, nor an answer repeated as an earlier turn."""
    asked = [*OFF_TOPIC, *ASKED_WITHOUT, *(wording for wordings, _ in TALK for wording in wordings)]
    turns: list[tuple[Turn, ...]] = [(user(wording),) for wording in asked]
    turns += [(Turn("system", (text,)), user("Hello")) for text in SYSTEM_PROMPTS]
    turns += [(user("Hello"), Turn("assistant", (answer.strip(),)), user("Hi")) for _, answer in TALK]
    assert {token for turn in turns for ids in encode_turns(turn) for token in ids} <= TRAINED
    assert {*asked} <= {*questions()}


@pytest.mark.parametrize("picture", KINDS)
def test_decisions(picture: str) -> None:
    """Nor does any question that is answered in letters, but for values that only their descriptions explain;
    all letters are trained that are answered.
    """
    rng = random.Random(0)
    for scene in scenes(picture, held_out=True):
        for kind in get_args(Kind):
            for one in (posed(rng, scene, kind), posed_of_any(rng, scene)):
                question, right = drawn(rng, one)
                if not {option.text for option in question.options} <= {*one.options}:
                    continue
                order = tuple(range(len(question.options)))
                told = lettered((user("", pictures=1),), question, right, order)
                assert {*told.prompt, *told.answer} <= TRAINED, question
    assert {*labels().ids[:MOST_OPTIONS]} <= TRAINED


def test_tables_of_earlier_stages() -> None:
    """Lack what only letters need, which are few tokens."""
    before = ids_before_letters()
    assert {*before} < TRAINED
    assert len(TRAINED) - len(before) < 12
    assert (ids_of(len(before)), ids_of(len(TRAINED))) == (before, trained_ids())
    with pytest.raises(ValueError, match="table of 7 tokens"):
        ids_of(7)


def test_rows() -> None:
    """Rows are in the order of ids; pictures' places are no token of the table."""
    assert list(trained_ids()) == sorted(TRAINED)
    assert [row_of()[token] for token in trained_ids()] == list(range(len(TRAINED)))
    assert Control.IMAGE not in TRAINED
    assert {*Control} - {Control.IMAGE} <= TRAINED
    assert len(TRAINED) < 550
