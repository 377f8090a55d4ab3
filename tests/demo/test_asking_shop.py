"""Where tools are told, training asks for calls, for what to make of results, and for plain answers."""

import random
from collections import Counter as Counts

import pytest

from demo.asking_shop import TOOL_OF, Counter, about, draw_counter, for_price, sold, talked
from demo.kinds import DRAW
from demo.language import Branch, encode_answer, encode_turns, token_ids
from demo.scene import Literal, text_of
from demo.shop import BOOK_PRICE, FINAL_ANSWER, SHAPE_PRICE, as_final, priced
from demo.style import one_font
from demo.talk import NO_PICTURE, REFUSAL
from demo.vocabulary import trained_ids
from drawings import scenes
from phiserve.chat.special_tokens import Control
from phiserve.chat.tools import told, with_tools
from phiserve.core import Conversation, Tool, Turn

CALL = (token_ids()["\u2581fun"], token_ids()["ct"], token_ids()["ools"])
"""How answers that are calls begin."""


def counter(*tools: Tool, all_calls: bool = False) -> Counter:
    """A counter with these tools told."""
    before = with_tools(Conversation(()), (*tools, FINAL_ANSWER) if all_calls else tools).turns
    return Counter(before, tools, all_calls)


def is_call(branch: Branch) -> bool:
    return branch.answer[:3] == CALL


def test_counters() -> None:
    """Both tools mostly, one or none now and then; `final_answer` is told where every answer is a call, and
    nowhere else.
    """
    rng = random.Random(0)
    drawn = [draw_counter(rng) for _ in range(200)]
    sizes = Counts(len(one.tools) for one in drawn)
    assert sizes[2] > 100
    assert min(sizes[0], sizes[1]) > 0
    for one in drawn:
        (turn,) = one.before
        (text,) = turn.parts
        assert isinstance(text, str)
        assert ('"name":"final_answer"' in text) is one.all_calls
        assert all(f'"name":"{tool.name}"' in text for tool in one.tools)
        assert text.endswith(told(()).splitlines()[-1])
    assert 20 < sum(one.all_calls for one in drawn) < 80
    assert len(str(draw_counter(rng, words=400).before[0].parts[0]).split()) > 400


@pytest.mark.parametrize("kind", ["shapes", "book"])
def test_prices_are_asked_for(kind: str) -> None:
    """Calls, and words after results; all that is answered is made of trained tokens."""
    rng = random.Random(kind)
    scene = DRAW[kind](rng, one_font())
    asked = [about(rng, scene, counter(SHAPE_PRICE, BOOK_PRICE)) for _ in range(200)]
    calls = {encode_answer(thing.call)[0] for thing in priced(scene)}
    assert {branch.answer for branch in asked if is_call(branch)} == calls
    assert 0.2 < sum(map(is_call, asked)) / len(asked) < 0.5
    costs = token_ids()["\u2581costs"]
    assert 0.2 < sum(costs in branch.answer for branch in asked) / len(asked) < 0.6
    assert {token for branch in asked for token in branch.answer} <= {*trained_ids()}


def test_no_call_without_its_tool() -> None:
    """Who asks for a price where no tool tells it is told what the model can do."""
    rng = random.Random(1)
    scene = DRAW["shapes"](rng, one_font())
    asked = [about(rng, scene, counter(BOOK_PRICE)) for _ in range(100)]
    assert not any(map(is_call, asked))
    assert encode_answer((Literal(REFUSAL),))[0] in {branch.answer for branch in asked}


@pytest.mark.parametrize("kind", [*DRAW])
def test_every_answer_a_call(kind: str) -> None:
    """Where that has to be, words are calls of `final_answer`."""
    rng = random.Random(kind)
    scene = DRAW[kind](rng, one_font())
    where = counter(SHAPE_PRICE, BOOK_PRICE, all_calls=True)
    asked = [about(rng, scene, where) for _ in range(60)]
    asked += [talked(rng, where) for _ in range(20)]
    assert all(map(is_call, asked))
    assert encode_answer(as_final(scene.exchanges[0].answer))[0] in {branch.answer for branch in asked}


def test_what_follows_a_question_for_a_price() -> None:
    """Nothing, and a call; or the call, its result and words with the price that stands in it."""
    rng = random.Random(2)
    thing = priced(scenes("shapes")[0])[0]
    for _ in range(60):
        turns, answer = for_price(rng, thing, counter(SHAPE_PRICE))
        if not turns:
            assert answer == thing.call
            continue
        assert turns[0] == Turn("assistant", (text_of(thing.call),))
        said, result = text_of(answer), str(turns[1].parts[0])
        assert result.startswith("Result of shape_price:")
        price = said.removeprefix(f"{thing.answered_as} costs ").removesuffix(".")
        assert said == "I do not know the price." or price in result


def test_an_agent_s_own_words() -> None:
    """Mostly told so where every answer is a call, never elsewhere."""
    rng = random.Random(3)
    thing = priced(scenes("shapes")[0])[0]
    own = [sold(rng, thing, "12", in_words=True)[0].parts[0] for _ in range(50)]
    assert 30 < sum(str(text).startswith("Calling tools:") for text in own) < 50
    other = [sold(rng, thing, "12", in_words=False) for _ in range(50)]
    assert {turns[0].parts for turns in other} == {(text_of(thing.call),)}
    assert {len(turns) for turns in other} == {2, 3}


def test_talk() -> None:
    """Without a picture even a question for a price gets no call."""
    rng = random.Random(4)
    said = [talked(rng, counter(SHAPE_PRICE, BOOK_PRICE)) for _ in range(100)]
    assert not any(map(is_call, said))
    assert encode_answer((Literal(NO_PICTURE),))[0] in {branch.answer for branch in said}
    assert all(branch.prompt[1] == Control.SYSTEM for branch in said)
    assert encode_turns(counter(SHAPE_PRICE).before)[0][0] == Control.BOS


def test_each_tool_has_its_kind_of_picture() -> None:
    """And no other."""
    assert {kind: tool.name for kind, tool in TOOL_OF.items()} == {
        "shapes": "shape_price",
        "book": "book_price",
    }
