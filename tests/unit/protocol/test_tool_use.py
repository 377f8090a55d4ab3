"""What every surface does with tools, whatever their wire format."""

import pytest

from phiserve.constraints.constraint import Constraint
from phiserve.constraints.lark import choice_grammar
from phiserve.constraints.tool_calls import MAX_CALLS, NO_PARAMETERS
from phiserve.core import Tool, ToolUse
from phiserve.errors import InvalidRequest
from phiserve.protocol.tool_use import MAX_PARAMETERS_BYTES, arguments_of, calls_constraint, choose
from unit.constraints.matching import passes

TOOLS = [Tool("a", NO_PARAMETERS), Tool("b", NO_PARAMETERS)]
PATHS = ["tools[0]", "tools[1]"]
CALL_B = 'functools[{"name":"b","arguments":{}}]'


def test_all_tools_or_some() -> None:
    """In the order in which they were given; all of them are told."""
    assert choose(TOOLS, None, must_call=False) == ToolUse(tuple(TOOLS), ("a", "b"), False, MAX_CALLS)
    assert choose(TOOLS, ["b", "a", "b"], must_call=True).callable_names == ("a", "b")
    assert choose(TOOLS, ["b"], must_call=True, parallel=False) == ToolUse(tuple(TOOLS), ("b",), True, 1)


def test_a_name_that_no_tool_has() -> None:
    """Is refused where the surface says that it stands, and shown no longer than need be."""
    with pytest.raises(InvalidRequest) as caught:
        choose(TOOLS, ["x" * 10_000], must_call=True, param="choice")
    assert caught.value.param == "choice"
    assert len(caught.value.message) < 500


def test_text_has_a_constraint_of_its_own() -> None:
    """Where calls need not be made; where they must, there is no text."""
    arguments, text = arguments_of(TOOLS, PATHS), Constraint(choice_grammar(["yes"]), "format")
    may = calls_constraint(choose(TOOLS, ["b"], must_call=False), arguments, text, "here")
    assert may.param == "here"
    assert passes(may.grammar, "yes")
    assert passes(may.grammar, CALL_B)
    assert not passes(may.grammar, "no")
    must = calls_constraint(choose(TOOLS, ["b"], must_call=True), arguments, text)
    assert passes(must.grammar, CALL_B)
    assert not passes(must.grammar, "yes")
    free = calls_constraint(choose(TOOLS, ["b"], must_call=False), arguments, None)
    assert passes(free.grammar, "no")


def test_schemas_are_limited_together() -> None:
    """Many large ones are refused before any is compiled, whatever would be wrong with them."""
    wrong = {"type": "nonsense", "description": "x" * (MAX_PARAMETERS_BYTES // 2)}
    with pytest.raises(InvalidRequest) as caught:
        arguments_of([Tool("a", wrong), Tool("b", wrong)], PATHS)
    assert (caught.value.param, caught.value.code) == ("tools", "unsupported_schema")
    assert "together" in caught.value.message


@pytest.mark.parametrize("must_call", [False, True])
def test_text_that_finds_no_end_is_bounded_beside_calls_too(must_call: bool) -> None:
    """Unless there is no text: what is known of its format holds where it may be given."""
    text = Constraint(choice_grammar(["yes"]), "format", is_endless=True)
    use = choose(TOOLS, None, must_call=must_call)
    assert calls_constraint(use, arguments_of(TOOLS, PATHS), text).is_endless is not must_call
