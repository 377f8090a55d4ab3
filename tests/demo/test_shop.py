"""Calls are the server's own, hold what the picture shows, and each question means one thing."""

import json

import pytest

from demo.language import encode_answer, encode_turns
from demo.scene import Copied, Literal, Seen, text_of
from demo.shop import (
    BOOK_PRICE,
    FINAL_ANSWER,
    NAMES,
    SHAPE_PRICE,
    as_final,
    calls,
    priced,
    recorded_call,
    recorded_result,
    shape_call,
)
from demo.vocabulary import trained_ids
from drawings import readings, scenes
from phiserve.chat.call_reader import read_answer
from phiserve.chat.special_tokens import Control
from phiserve.chat.tools import written
from phiserve.core import ToolCall, Turn

TRAINED = {*trained_ids()}


@pytest.mark.parametrize("kind", ["shapes", "book"])
@pytest.mark.parametrize("held_out", [False, True])
def test_calls_are_written_as_the_server_writes_them(kind: str, held_out: bool) -> None:
    """Character for character; the server reads the same call in them, and no token is untrained."""
    for scene in scenes(kind, held_out=held_out):
        for thing in priced(scene):
            name, arguments = thing.record()
            text = text_of(thing.call)
            assert text == written([ToolCall(name, json.dumps(arguments))])
            assert read_answer(text).calls[0].name == name == thing.tool.name
            assert [*arguments] == [*thing.tool.parameters["properties"]]  # type: ignore[misc] # a dict
            assert {*encode_answer(thing.call)[0]} <= TRAINED


def test_calls_for_shapes_are_in_the_tokens_of_later_turns() -> None:
    """An answer's tokens are those that the same call has when it is told again; all know where their shape
    stands.
    """
    for scene in scenes("shapes"):
        for thing in priced(scene):
            told = encode_turns((Turn("assistant", (text_of(thing.call),)),))[0]
            ids, places = encode_answer(thing.call)
            assert ids == told[told.index(ids[0]) : told.index(Control.END) + 1]
            seen = {(part.x, part.y) for part in scene.exchanges[0].answer if isinstance(part, Seen)}
            assert {*places[:-1]} <= seen
            assert len({*places[:-1]}) == 1


def test_a_book_is_asked_for_by_its_title() -> None:
    """Each character of which knows its place in the picture."""
    for scene in scenes("book"):
        (thing,) = priced(scene)
        title = readings(scene.exchanges[1])[0]
        assert thing.tool is BOOK_PRICE
        assert thing.record() == ("book_price", {"title": title.text})
        assert [part for part in thing.call if isinstance(part, Copied)] == [title]


def test_shapes_are_asked_for_by_what_means_one_of_them() -> None:
    """A place always; a kind that no other has; "this shape" where it stands alone."""
    seen = set()
    for scene in scenes("shapes", count=40):
        things = priced(scene)
        asked = [thing.asked_as for thing in things]
        assert len({*asked}) == len(asked)
        assert {*asked} <= {*NAMES}
        description = text_of(scene.exchanges[0].answer)
        for thing in things:
            _, arguments = thing.record()
            shown = f"{arguments['color']} {arguments['shape']}"
            assert thing.answered_as == f"The {shown}"
            place = thing.asked_as.removeprefix("the shape at the ")
            if place != thing.asked_as:
                assert f"{shown} at the {place}" in description
            elif thing.asked_as != "this shape":
                assert description.count(thing.asked_as.removeprefix("the ")) == 1
            seen.add(thing.asked_as)
        assert ("this shape" in asked) is (" and " not in description)
    assert {"this shape", "the circle", "the shape at the center"} <= seen


@pytest.mark.parametrize("kind", ["chart", "line"])
def test_other_pictures_show_nothing_with_a_price(kind: str) -> None:
    """No question for a price is asked of them."""
    assert [priced(scene) for scene in scenes(kind)] == [()] * 16


def test_replies() -> None:
    """A sentence with the price, or that there is none."""
    thing = priced(scenes("book")[0])[0]
    assert text_of(thing.reply("12")) == "The book costs 12."
    assert text_of(thing.reply(None)) == "I do not know the price."


def test_final_answers() -> None:
    """An answer in words as the argument of a call, without the space it begins with, quotes escaped."""
    for kind in ("book", "chart", "shapes", "line"):
        for scene in scenes(kind):
            answer = scene.exchanges[0].answer
            (call,) = read_answer(text_of(as_final(answer))).calls
            assert call.name == FINAL_ANSWER.name
            assert json.loads(call.arguments) == {"answer": text_of(answer)}
            assert {*encode_answer(as_final(answer))[0]} <= TRAINED


def test_calls_for_the_vocabulary() -> None:
    """One for every color and kind, and one for each other tool."""
    told = calls()
    assert shape_call("red", "circle") in told
    assert len(told) == 10 * 3 + 2
    names = {read_answer(call).calls[0].name for call in told}
    assert names == {SHAPE_PRICE.name, BOOK_PRICE.name, FINAL_ANSWER.name}


def test_an_agent_s_own_record() -> None:
    """As smolagents words it."""
    call = "shape_price", {"color": "red", "shape": "circle"}
    assert recorded_call(call, "c1") == (
        "Calling tools:\n[{'id': 'c1', 'type': 'function', 'function': {'name': 'shape_price', "
        "'arguments': {'color': 'red', 'shape': 'circle'}}}]"
    )
    assert recorded_result("12") == "Observation:\n12"
    assert text_of(as_final((Literal(' It says "'), Literal('a".')))).endswith('"It says \\"a\\"."}}]')
