"""Tools through the real openai client and a real engine, whose model's own words mean nothing: whatever is
well-formed was enforced.
"""

import json
from typing import Any

import httpx
import jsonschema
import openai
import pytest

from e2e.conftest import MODEL
from images import image_part, photo, text_part

PLACES: dict[str, Any] = {
    "type": "object",
    "properties": {
        "places": {"type": "array", "items": {"enum": ["top", "bottom"]}, "minItems": 1, "maxItems": 2},
        "zoom": {"type": "integer", "minimum": 1, "maximum": 4},
    },
    "required": ["places", "zoom"],
    "additionalProperties": False,
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "look": PLACES,
    "finish": {"type": "object", "properties": {}, "additionalProperties": False},
}
TOOLS: Any = [
    {"type": "function", "function": {"name": "look", "description": "Looks closely.", "parameters": PLACES}},
    {"type": "function", "function": {"name": "finish"}},
]
LOOK: Any = {"type": "function", "function": {"name": "look"}}
QUESTION: Any = {"role": "user", "content": [image_part(photo("coffee"), "low"), text_part("What is it?")]}


def ask(client: openai.OpenAI, messages: list[Any], **options: Any) -> Any:
    """One answer."""
    return client.chat.completions.create(
        model=MODEL, messages=messages, **({"max_tokens": 300, "tools": TOOLS} | options)
    )


def check(name: str, arguments: str) -> None:
    """A call is one of the tools', with arguments as its schema says."""
    jsonschema.validate(json.loads(arguments), SCHEMAS[name])


def test_calls_that_are_required(client: openai.OpenAI) -> None:
    """Sampled from noise, every choice is calls of the tools, with arguments that follow their schemas."""
    completion = ask(client, [QUESTION], tool_choice="required", n=4, temperature=1, seed=1)
    for choice in completion.choices:
        assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
        assert len({call.id for call in choice.message.tool_calls}) == len(choice.message.tool_calls)
        for call in choice.message.tool_calls:
            check(call.function.name, call.function.arguments)


def test_streamed_as_whole(client: openai.OpenAI) -> None:
    """The same greedy request streamed: the client puts together the calls that it gets whole."""
    options: dict[str, Any] = {"tool_choice": "required", "parallel_tool_calls": False, "temperature": 0}
    (call,) = ask(client, [QUESTION], **options).choices[0].message.tool_calls
    check(call.function.name, call.function.arguments)
    with client.chat.completions.stream(
        model=MODEL, messages=[QUESTION], max_tokens=300, tools=TOOLS, **options
    ) as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert calls is not None
    (streamed,) = calls
    assert (streamed.function.name, streamed.function.arguments) == (
        call.function.name,
        call.function.arguments,
    )


def test_a_loop_of_two_turns(client: openai.OpenAI) -> None:
    """A named tool is called once; its result comes back with an image, and is answered by words or calls."""
    first = ask(client, [QUESTION], tool_choice=LOOK)
    (call,) = first.choices[0].message.tool_calls
    check("look", call.function.arguments)
    result = {
        "role": "tool",
        "tool_call_id": call.id,
        "content": [text_part("Closer:"), image_part(photo("astronaut"), "low")],
    }
    history = [QUESTION, first.choices[0].message.model_dump(), result]
    second = ask(client, history, max_tokens=20, temperature=0)
    assert second.usage.prompt_tokens > first.usage.prompt_tokens
    assert second.usage.prompt_tokens_details.image_tokens == 2 * (
        first.usage.prompt_tokens_details.image_tokens
    )
    message = second.choices[0].message
    assert (message.content is None) == bool(message.tool_calls)


@pytest.mark.parametrize("with_functions", [False, True])
def test_the_tools_that_are_told_are_counted(client: openai.OpenAI, url: str, with_functions: bool) -> None:
    """By `/tokenize` as by an answer; a prompt that tells none is shorter."""
    told: dict[str, Any] = (
        {"functions": [tool["function"] for tool in TOOLS]} if with_functions else {"tools": TOOLS}
    )
    messages: Any = [{"role": "user", "content": "Hi"}]
    counts = []
    for fields in (told, {}):
        body = {"model": MODEL, "messages": messages, **fields}
        counts.append(httpx.post(f"{url}/tokenize", json=body).json()["count"])
    answer = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=2, **told)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == counts[0] > counts[1]


def test_the_older_interface(client: openai.OpenAI) -> None:
    """A function that is named is called, under the name that `functions` has for it."""
    functions: Any = [TOOLS[0]["function"]]
    completion = client.chat.completions.create(
        model=MODEL, messages=[QUESTION], functions=functions, function_call={"name": "look"}, max_tokens=300
    )
    (choice,) = completion.choices
    assert choice.finish_reason == "function_call"
    assert choice.message.function_call is not None
    check(choice.message.function_call.name, choice.message.function_call.arguments)


def test_a_call_that_was_cut(client: openai.OpenAI) -> None:
    """Ends with its length, and has the arguments that came."""
    options: dict[str, Any] = {"tool_choice": LOOK, "temperature": 0}
    whole = ask(client, [QUESTION], **options)
    # without its end: two braces, a bracket and the end token at most
    cut = ask(client, [QUESTION], **options, max_tokens=whole.usage.completion_tokens - 4)
    assert cut.choices[0].finish_reason == "length"
    (call,), (begun,) = (answer.choices[0].message.tool_calls for answer in (whole, cut))
    assert begun.function.name == "look"
    assert call.function.arguments.startswith(begun.function.arguments)
    assert len(begun.function.arguments) < len(call.function.arguments)
