"""Every token that is asked with or answered is trained, and few others."""

import pytest

from demo.language import encode_answer, encode_turns, user
from demo.pairs import compare
from demo.scene import Exchange
from demo.talk import ASKED_WITHOUT, OFF_TOPIC, SYSTEM_PROMPTS, TALK
from demo.vocabulary import questions, row_of, trained_ids
from drawings import KINDS, scenes
from phiserve.chat.special_tokens import Control
from phiserve.core import Turn

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


def test_rows() -> None:
    """Rows are in the order of ids; pictures' places are no token of the table."""
    assert list(trained_ids()) == sorted(TRAINED)
    assert [row_of()[token] for token in trained_ids()] == list(range(len(TRAINED)))
    assert Control.IMAGE not in TRAINED
    assert {*Control} - {Control.IMAGE} <= TRAINED
    assert len(TRAINED) < 550
