"""A Responses request -> the inner request, and the response that its answer fills."""

import json

from phiserve.core import SamplingOptions, StopConditions
from phiserve.protocol.parsing import parse_request
from phiserve.protocol.responses.request import LOGPROBS, ResponsesRequest
from phiserve.protocol.responses.translation import begun_response, to_generation_request


def parsed(**fields: object) -> ResponsesRequest:
    return parse_request(json.dumps({"input": "Hi"} | fields).encode(), ResponsesRequest)


def test_options_get_their_inner_names() -> None:
    """Null leaves defaults."""
    given = parsed(
        max_output_tokens=5,
        temperature=0.5,
        top_p=None,
        top_logprobs=2,
        include=[LOGPROBS],
        stream=True,
        service_tier="flex",
        text={"format": {"type": "json_object"}},
    )
    inner = to_generation_request(given, "owner", "salt", 3.0)
    assert inner.sampling == SamplingOptions(temperature=0.5)
    assert inner.stops == StopConditions(5)
    assert (inner.top_logprobs, inner.stream, inner.priority) == (2, True, 1)
    assert (inner.tenant, inner.cache_salt, inner.deadline_s) == ("owner", "salt", 3.0)
    assert inner.constraint == given.constraint is not None
    assert inner.id.startswith("resp_")


def test_vllms_extras() -> None:
    """As in chat requests, whatever they are called beside."""
    given = parsed(
        max_output_tokens=9,
        seed=3,
        stop=["a"],
        frequency_penalty=0.5,
        presence_penalty=-0.5,
        logit_bias={"7": 2},
        top_k=4,
        min_p=0.1,
        repetition_penalty=1.1,
        ignore_eos=True,
        min_tokens=2,
        stop_token_ids=[5],
        priority=3,
        cache_salt="mine",
    )
    inner = to_generation_request(given, "owner", "salt")
    assert inner.sampling == SamplingOptions(
        top_k=4,
        min_p=0.1,
        seed=3,
        frequency_penalty=0.5,
        presence_penalty=-0.5,
        repetition_penalty=1.1,
        logit_bias={7: 2.0},
    )
    assert inner.stops == StopConditions(9, 2, ("a",), (5,), ignore_eos=True)
    assert (inner.priority, inner.cache_salt == given.salt("salt") != "salt") == (1, True)


def test_structured_outputs() -> None:
    """vLLM's form of an answer's form, also beside tools that may not be called."""
    form = {"choice": ["a", " b"]}
    given = parsed(structured_outputs=form)
    assert to_generation_request(given).constraint == given.constraint is not None
    assert to_generation_request(given).keeps_first_space
    tools = [{"type": "function", "name": "look", "parameters": {"type": "object"}}]
    assert parsed(structured_outputs=form, tools=tools, tool_choice="none").constraint == given.constraint


def test_a_response_repeats_what_was_asked_for() -> None:
    """And says of the rest what holds, not what was asked."""
    given = parsed(
        instructions="Be brief",
        max_output_tokens=5,
        metadata={"a": "b"},
        parallel_tool_calls=False,
        reasoning={"effort": "high"},
        service_tier="priority",
        text={"verbosity": "low", "format": {"type": "json_object"}},
        tool_choice="none",
        user="u",
    )
    begun = begun_response(given, "resp_1", "m")
    assert (begun.id, begun.model, begun.status, begun.output) == ("resp_1", "m", "in_progress", [])
    assert (begun.instructions, begun.max_output_tokens, begun.metadata) == ("Be brief", 5, {"a": "b"})
    assert (begun.parallel_tool_calls, begun.tool_choice, begun.user) == (False, "none", "u")
    assert (begun.service_tier, begun.reasoning.effort, begun.text.verbosity) == ("default", None, "medium")
    assert begun.text.format == {"type": "json_object"}
    assert (begun.temperature, begun.top_p, begun.top_logprobs) == (1.0, 1.0, 0)
