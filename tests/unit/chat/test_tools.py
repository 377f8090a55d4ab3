"""What the model is told of tools, and how calls are written again."""

import json

import pytest

from phiserve.chat.call_reader import read_answer
from phiserve.chat.tools import result_headings, told, with_tools, written
from phiserve.constraints.tool_calls import arguments_grammar, calls_grammar
from phiserve.core import Conversation, ImagePlaceholder, Tool, ToolCall, Turn
from unit.constraints.matching import passes

LOOK = Tool("look", {"type": "object", "properties": {"at": {"type": "string"}}}, "Looks\nthere: <|end|>")
STOP = Tool("stop", {"type": "object", "properties": {}})
USER = Turn("user", ("Hi", ImagePlaceholder("data:", "auto", "p")))


def test_a_line_for_each_tool() -> None:
    """As JSON, with a description only where there is one; a client's newlines begin no line."""
    lines = [json.loads(line) for line in told([LOOK, STOP]).split("\n") if line.startswith("{")]
    assert lines == [
        {"name": "look", "description": LOOK.description, "parameters": LOOK.parameters},
        {"name": "stop", "parameters": STOP.parameters},
    ]


def test_the_form_that_is_told_is_the_form_that_is_enforced() -> None:
    """The model is shown a call that the grammar lets through, and the reader reads."""
    (line,) = [line for line in told([STOP]).split("\n") if line.startswith("functools[")]
    free = arguments_grammar({"additionalProperties": {"type": "string"}})
    assert passes(calls_grammar({"NAME": free}, most=1), line)
    assert read_answer(line).calls == (ToolCall("NAME", '{"ARGUMENT":"VALUE"}'),)


def test_told_in_a_system_turn() -> None:
    """At the end of the one that comes first, after an empty line; else in one of their own before all."""
    text = told([STOP])
    alone = with_tools(Conversation((USER,), "input"), [STOP])
    assert alone == Conversation((Turn("system", (text,)), USER), "input")
    begun = with_tools(Conversation((Turn("system", ("Be terse.",)), USER)), [STOP])
    assert begun.turns == (Turn("system", (f"Be terse.\n\n{text}",)), USER)
    later = with_tools(Conversation((USER, Turn("system", ("Be terse.",)))), [STOP])
    assert later.turns == (Turn("system", (text,)), USER, Turn("system", ("Be terse.",)))


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ('{"at":"é"}', '{"at":"é"}'),
        ('{"at": "\\u00e9", "x": [1, 2.5, null]}', '{"at":"é","x":[1,2.5,null]}'),
        ("", "{}"),
        ('{"at":"\\ud83d"}', '{"at":"\\ud83d"}'),
        ('{"at', '"{\\"at"'),
        ("[1]", '"[1]"'),
        ('{"n":NaN}', '"{\\"n\\":NaN}"'),
        ('{"n":1e999}', '"{\\"n\\":1e999}"'),
        ("[" * 100_000, json.dumps("[" * 100_000)),
        ('{"n":' + "1" * 5000 + "}", json.dumps('{"n":' + "1" * 5000 + "}")),
    ],
)
def test_arguments_are_written_as_the_model_writes_them(arguments: str, shown: str) -> None:
    """Without white space; what is no object of JSON, as a string."""
    assert written([ToolCall("look", arguments)]) == f'functools[{{"name":"look","arguments":{shown}}}]'


def test_calls_are_written_as_they_are_read() -> None:
    """An answer that was given comes back to the model letter by letter."""
    answer = 'functools[{"name":"look","arguments":{"at":"a \\"b\\""}},{"name":"stop","arguments":{}}]'
    assert written(read_answer(answer).calls) == answer


def test_results_are_told_apart() -> None:
    """By the tool's name, and by a number where there were several calls."""
    assert result_headings(["look"]) == ["Result of look:"]
    assert result_headings(["look", "look"]) == ["Result of call 1, look:", "Result of call 2, look:"]
