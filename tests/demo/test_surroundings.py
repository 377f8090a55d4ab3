"""What stands around a question is of many kinds, and changes neither the question nor what a tool is."""

import json
import random

import jsonschema
import pytest

from demo.shop import BOOK_PRICE, FINAL_ANSWER, SHAPE_PRICE, TOOLS
from demo.surroundings import (
    beside,
    draw_price,
    instructions,
    long_instructions,
    no_result,
    noise,
    result,
    surrounded,
    urged,
    varied_tool,
)
from phiserve.constraints.tool_calls import arguments_grammar
from phiserve.core import Tool

VALID = {
    "shape_price": {"color": "red", "shape": "circle"},
    "book_price": {"title": "ALONE"},
    "final_answer": {"answer": "Hi."},
}


def rng() -> random.Random:
    return random.Random(7)


def test_instructions() -> None:
    """None, short ones, long ones; none of them speaks of `final_answer`, which is told as a tool alone."""
    chance = rng()
    texts = [instructions(chance) for _ in range(200)]
    lengths = [len(text.split()) for text in texts]
    assert 0.1 < lengths.count(0) / len(texts) < 0.3
    assert 60 < max(lengths) < 400
    assert not any("final_answer" in text for text in texts)
    assert len(long_instructions(chance, 500).split()) >= 500


def test_the_question_is_there() -> None:
    """As it was, in half of all cases alone."""
    chance = rng()
    texts = [surrounded(chance, "How much is it?") for _ in range(200)]
    assert all("How much is it?" in text for text in texts)
    assert 0.4 < texts.count("How much is it?") / len(texts) < 0.75
    assert len({*texts}) > 20


def test_noise_and_what_is_urged() -> None:
    """So many words; never nothing."""
    chance = rng()
    assert len(noise(chance, 9).replace(" - ", "").split()) >= 9
    assert all(urged(chance) for _ in range(50))


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_varied_tool_takes_the_same_arguments(tool: Tool) -> None:
    """Under its own name, in the same order; what it allowed and forbade it still does."""
    chance = rng()
    told = [varied_tool(chance, tool) for _ in range(40)]
    for one in told:
        assert one.name == tool.name
        assert arguments_grammar(one.parameters)
        jsonschema.validate(VALID[tool.name], dict(one.parameters))
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({}, dict(one.parameters))
        assert [*json.loads(json.dumps(one.parameters["properties"]))] == [*VALID[tool.name]]
    assert len({json.dumps(dict(one.parameters)) for one in told}) > 5
    assert (len({one.description for one in told}) > 1) is (tool is not FINAL_ANSWER)


def test_tools_stand_beside_others() -> None:
    """All that were asked for, in any order, now and then with others; never no tool at all."""
    chance = rng()
    told = [[tool.name for tool in beside(chance, (SHAPE_PRICE, BOOK_PRICE))] for _ in range(100)]
    assert all({"shape_price", "book_price"} <= {*names} for names in told)
    assert {names.index("shape_price") < names.index("book_price") for names in told} == {True, False}
    assert 20 < sum(len(names) > 2 for names in told) < 60
    assert all(beside(chance, ()) for _ in range(20))


def test_results() -> None:
    """A price stands in every result that tells one, mostly alone, and no digit in one that does not."""
    chance = rng()
    prices = [draw_price(chance) for _ in range(200)]
    results = [result(chance, price) for price in prices]
    assert all(price in told for price, told in zip(prices, results, strict=True))
    assert 0.5 < sum(map(str.__eq__, prices, results)) / 200 < 0.8
    assert all(0 < float(price) < 1000 for price in prices)
    assert not any(character.isdigit() for _ in range(50) for character in no_result(chance))
