"""Which answers the grammar of calls lets through."""

import json
import random

import pytest
from pydantic import JsonValue

from phiserve.constraints.constraint import InvalidSchema, UnsupportedConstraint
from phiserve.constraints.json_schema import json_schema_grammar
from phiserve.constraints.lark import check_compiles
from phiserve.constraints.tool_calls import ANY_TEXT, NO_PARAMETERS, arguments_grammar, calls_grammar
from unit.constraints.matching import matcher, passes, sample

CITY: dict[str, JsonValue] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"$ref": "#/$defs/Days"}},
    "required": ["city"],
    "$defs": {"Days": {"type": "integer", "minimum": 1, "maximum": 9}},
}
ARGUMENTS = {"weather": arguments_grammar(CITY), "ti-me_1": arguments_grammar(NO_PARAMETERS)}
WEATHER = '{"name":"weather","arguments":{"city":"Paris","days":3}}'
TIME = '{"name":"ti-me_1","arguments":{}}'


def calls(*written: str) -> str:
    """An answer of these calls."""
    return f"functools[{','.join(written)}]"


@pytest.mark.parametrize("answer", [calls(WEATHER), calls(TIME), " " + calls(TIME), calls(WEATHER, TIME)])
def test_calls_pass(answer: str) -> None:
    """One or several, each with the arguments of its own schema; a token's space may come before all."""
    assert passes(calls_grammar(ARGUMENTS, most=2), answer)


@pytest.mark.parametrize(
    "answer",
    [
        *("", "functools[]", "Hello", calls(TIME) + "\n", "  " + calls(TIME), f"[{TIME}]"),
        calls(TIME, TIME, TIME),
        calls('{"name":"other","arguments":{}}'),
        calls('{"name":"weather","arguments":{}}'),
        calls('{"name":"weather","arguments":{"city":"Paris","days":10}}'),
        calls('{"name":"weather","arguments":{"city":"Paris","else":1}}'),
        calls('{"name":"ti-me_1","arguments":{"city":"Paris"}}'),
        calls('{"name": "ti-me_1","arguments":{}}'),
        calls('{"arguments":{},"name":"ti-me_1"}'),
        f"functools[{TIME},]",
    ],
)
def test_nothing_else_passes(answer: str) -> None:
    """Neither text, nor white space, nor arguments of another tool, nor more calls than were asked for."""
    assert not passes(calls_grammar(ARGUMENTS, most=2), answer)


def test_arguments_are_an_object_that_may_hold_null() -> None:
    """As smolagents describes an argument with a default; `nullable` of all arguments says nothing."""
    colour: JsonValue = {"type": "string", "nullable": True}
    described: JsonValue = {"type": "object", "nullable": True, "properties": {"colour": colour}}
    assert isinstance(described, dict)
    grammar = calls_grammar({"look": arguments_grammar(described)}, most=1)
    for arguments in ('{"colour":"red"}', '{"colour":null}', "{}"):
        assert passes(grammar, calls(f'{{"name":"look","arguments":{arguments}}}'))
    assert not passes(grammar, calls('{"name":"look","arguments":null}'))


def test_one_call_at_most() -> None:
    grammar = calls_grammar(ARGUMENTS, most=1)
    assert passes(grammar, calls(TIME))
    assert not passes(grammar, calls(TIME, TIME))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello",
        "functools",
        "functool[",
        "f",
        " f",
        "a functools[",
        "[{}]",
        "\nfunctools[",
        "é\n\n🙂",
        "x" * 5000,
    ],
)
def test_text_instead(text: str) -> None:
    """Any that does not begin as calls do, however much of their beginning it shares."""
    assert passes(calls_grammar(ARGUMENTS, most=2, otherwise=ANY_TEXT), text)


@pytest.mark.parametrize("text", ["functools[", " functools[", "functools[]", 'functools[{"name":"x'])
def test_what_begins_as_a_call_is_one(text: str) -> None:
    """No text may be mistaken for a call."""
    assert not passes(calls_grammar(ARGUMENTS, most=2, otherwise=ANY_TEXT), text)


@pytest.mark.parametrize("answer", [calls(WEATHER), " " + calls(WEATHER, TIME)])
def test_calls_where_text_may_stand(answer: str) -> None:
    """With the space, too, that models' first tokens bring."""
    assert passes(calls_grammar(ARGUMENTS, most=2, otherwise=ANY_TEXT), answer)
    assert passes(calls_grammar(ARGUMENTS, most=2, otherwise=json_schema_grammar({"type": "array"})), answer)


def test_calls_or_a_format() -> None:
    """An answer in words is held to its own constraint."""
    otherwise = json_schema_grammar({"type": "array", "items": {"type": "boolean"}})
    grammar = calls_grammar(ARGUMENTS, most=2, otherwise=otherwise)
    assert passes(grammar, "[true,false]")
    assert passes(grammar, calls(WEATHER))
    assert not passes(grammar, "Hello")
    assert not passes(grammar, calls("true"))


def test_whatever_is_chosen_comes_to_an_end() -> None:
    """Answers of a model that knows nothing are calls of the tools, with arguments as their schemas say."""
    grammar, random_ = calls_grammar(ARGUMENTS, most=3), random.Random(1)
    answers = [answer for _ in range(20) if (answer := sample(grammar, random_, most=400)) is not None]
    assert len(answers) > 10
    for answer in answers:
        for call in json.loads(answer.removeprefix(" ").removeprefix("functools")):
            assert list(call) == ["name", "arguments"]
            assert call["name"] in ARGUMENTS
            assert ("city" in call["arguments"]) == (call["name"] == "weather")


def test_arguments_are_an_object() -> None:
    """Whether their schema says so or leaves it open; a schema of something else is refused."""
    grammar = arguments_grammar({})
    assert passes(grammar, "{}")
    assert not passes(grammar, "1")
    with pytest.raises(InvalidSchema, match="are an object") as caught:
        arguments_grammar({"type": "string"})
    assert caught.value.path == ("type",)


def test_what_would_not_be_enforced_is_refused_with_its_path() -> None:
    """As in `response_format`."""
    with pytest.raises(UnsupportedConstraint) as caught:
        arguments_grammar({"properties": {"a": {"type": "array", "uniqueItems": True}}})
    assert caught.value.path == ("properties", "a", "uniqueItems")


def test_as_many_tools_as_openai_allows() -> None:
    """Compile together, and the last can be called within the limits of a step."""
    arguments = {f"tool_{number}": ARGUMENTS["weather"] for number in range(128)}
    grammar = calls_grammar(arguments, most=8, otherwise=ANY_TEXT)
    check_compiles(grammar)
    assert passes(grammar, calls(*[WEATHER.replace("weather", "tool_127")] * 8))
    assert matcher(grammar).is_accepting()
