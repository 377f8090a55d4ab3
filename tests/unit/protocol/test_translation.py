"""Messages become turns with the newlines and placeholders that the prompt form prescribes."""

from typing import Any

import pytest

from phiserve.core import (
    Conversation,
    GenerationRequest,
    ImagePlaceholder,
    SamplingOptions,
    StopConditions,
    Turn,
)
from phiserve.errors import InvalidRequest
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.messages import TextPart, UserMessage
from phiserve.protocol.translation import build_conversation, to_generation_request

IMAGE = {"type": "image_url", "image_url": {"url": "data:x"}}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def turns(*messages: dict[str, Any]) -> tuple[Turn, ...]:
    request = ChatCompletionRequest.model_validate({"model": "m", "messages": messages})
    return build_conversation(request.messages).turns


def shown(turn: Turn) -> str:
    """A turn's content as the prompt string the reference would tokenize."""
    return "".join(part if isinstance(part, str) else "<image>" for part in turn.parts)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([text("Hi")], "Hi"),
        ([IMAGE, text("Hi")], "<image>\nHi"),
        ([text("Hi"), IMAGE], "Hi\n<image>\n"),
        ([text("Hi\n"), IMAGE], "Hi\n<image>\n"),
        ([IMAGE, IMAGE, text("Compare")], "<image>\n<image>\nCompare"),
        ([text("a"), text("b")], "a\nb"),
        ([text("a\n"), text("b")], "a\nb"),
        ([text("a"), text("\nb")], "a\nb"),
        ([text("a"), IMAGE, text("b"), IMAGE, text("c")], "a\n<image>\nb\n<image>\nc"),
    ],
)
def test_parts_are_joined_in_order(parts: list[dict[str, Any]], expected: str) -> None:
    """Order is kept, an image is its tag and a newline, texts are parted by one newline."""
    (turn,) = turns({"role": "user", "content": parts})
    assert shown(turn) == expected


def call(id_: str, name: str, arguments: str = "{}") -> dict[str, Any]:
    """A call as clients send it back."""
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_roles() -> None:
    """Both names of the system role, tool results and calls have their stated form; equal roles stay separate
    turns.
    """
    result = turns(
        {"role": "developer", "content": "Be terse."},
        {"role": "system", "content": "Please."},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [call("c1", "get", '{"at": "Rome"}')]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "assistant", "content": "Sunny.", "refusal": None},
    )
    assert [(turn.role, shown(turn)) for turn in result] == [
        ("system", "Be terse."),
        ("system", "Please."),
        ("user", "Weather?"),
        ("assistant", 'functools[{"name":"get","arguments":{"at":"Rome"}}]'),
        ("user", "Result of get:\nsunny"),
        ("assistant", "Sunny."),
    ]


def test_results_of_several_calls() -> None:
    """Are told apart by number and name, in whatever order they come; images stand in them too."""
    result = turns(
        {"role": "assistant", "content": "Well:", "tool_calls": [call("a", "get"), call("b", "look")]},
        {"role": "tool", "tool_call_id": "b", "content": [IMAGE, text("blue")]},
        {"role": "tool", "tool_call_id": "a", "content": None},
        {"role": "tool", "tool_call_id": "lost", "content": []},
    )
    assert [shown(turn) for turn in result] == [
        'Well:\nfunctools[{"name":"get","arguments":{}},{"name":"look","arguments":{}}]',
        "Result of call 2, look:\n<image>\nblue",
        "Result of call 1, get:",
        "Result of tool call lost:",
    ]
    assert [part.param for part in result[1].parts if isinstance(part, ImagePlaceholder)] == [
        "messages[1].content[0].image_url"
    ]


def test_the_older_interface() -> None:
    """A function's call and result read as those of a tool."""
    result = turns(
        {"role": "assistant", "content": None, "function_call": {"name": "get", "arguments": '{"a":1}'}},
        {"role": "function", "name": "get", "content": "sunny"},
    )
    assert [(turn.role, shown(turn)) for turn in result] == [
        ("assistant", 'functools[{"name":"get","arguments":{"a":1}}]'),
        ("user", "Result of get:\nsunny"),
    ]


@pytest.mark.parametrize("at", ["tool_calls[0]", "function_call"])
def test_calls_that_are_not_unicode(at: str) -> None:
    """Half a character in a call is refused where it stands."""
    function = {"name": "get", "arguments": "\ud83d"}
    sent = {"tool_calls": [call("a", "") | {"function": function}]} if "[" in at else {at: function}
    with pytest.raises(InvalidRequest) as caught:
        turns({"role": "assistant", "content": None, **sent})
    assert caught.value.param == f"messages[0].{at}"


def test_placeholders_name_their_path() -> None:
    """A placeholder names where in the request its image stands, and `original` means `high`."""
    part = {"type": "image_url", "image_url": {"url": "data:x", "detail": "original"}}
    conversation = build_conversation(
        ChatCompletionRequest.model_validate(
            {
                "model": "m",
                "messages": [
                    {"role": "user", "content": "a"},
                    {"role": "user", "content": [text("b"), part]},
                ],
            }
        ).messages
    )
    assert conversation.images == (ImagePlaceholder("data:x", "high", "messages[1].content[1].image_url"),)


def test_lone_surrogates_are_refused() -> None:
    """Half a surrogate pair, which JSON can spell, is an error that names the part."""
    message = UserMessage.model_construct(
        role="user", content=(TextPart.model_construct(type="text", text="a\ud800"),)
    )
    with pytest.raises(InvalidRequest) as caught:
        build_conversation([message])
    assert caught.value.param == "messages[0].content[0].text"


def translated(**fields: Any) -> GenerationRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]} | fields
    return to_generation_request(ChatCompletionRequest.model_validate(body))


def test_absent_and_null_are_the_defaults() -> None:
    """OpenAI's defaults, and a chat completion's kind of id."""
    names = ("temperature", "top_p", "frequency_penalty", "presence_penalty", "seed", "logit_bias", "top_k")
    for fields in ({}, dict.fromkeys(names)):
        request = translated(**fields)
        assert request.sampling == SamplingOptions()
        assert request.stops == StopConditions()
        assert (request.constraint, request.top_logprobs, request.num_choices, request.stream) == (
            None, None, 1, False,
        )  # fmt: skip
        assert request.id.startswith("chatcmpl-")


def test_every_option_is_carried() -> None:
    """Under the inner request's one name for it."""
    request = translated(
        temperature=0.5, top_p=0.9, top_k=7, min_p=0.1, n=3, seed=11, frequency_penalty=0.1,
        presence_penalty=0.2, repetition_penalty=1.1, stop=["a", "b"], stop_token_ids=[5], min_tokens=2,
        logit_bias={"7": -100}, logprobs=True, top_logprobs=4, max_completion_tokens=9, ignore_eos=True,
        stream=True,
    )  # fmt: skip
    assert request.sampling == SamplingOptions(0.5, 0.9, 7, 0.1, 11, 0.1, 0.2, 1.1, {7: -100})
    assert request.stops == StopConditions(9, 2, ("a", "b"), (5,), ignore_eos=True)
    assert (request.top_logprobs, request.num_choices, request.stream) == (4, 3, True)


def test_whose_request_it_is() -> None:
    """The owner and the salt are the key's, not the body's."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    chat = ChatCompletionRequest.model_validate(body)
    for owner, salt in ((None, None), ("alice", "salt")):
        request = to_generation_request(chat, owner, salt)
        assert (request.tenant, request.cache_salt) == (owner, salt)


def test_logprobs_without_candidates() -> None:
    """The chosen token's log-probability alone."""
    assert translated(logprobs=True).top_logprobs == 0


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": {"type": "json_object"}}, "response_format"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}},
            "response_format.json_schema.schema",
        ),
        ({"structured_outputs": {"json": {"type": "null"}}}, "structured_outputs.json"),
        ({"structured_outputs": {"choice": ["a", "b"]}}, "structured_outputs.choice"),
        ({"structured_outputs": {"grammar": 'root ::= "a"'}}, "structured_outputs.grammar"),
    ],
)
def test_constraints_know_what_asks_for_them(fields: dict[str, Any], param: str) -> None:
    """Each kind under its path in the request, as a grammar."""
    constraint = translated(**fields).constraint
    assert constraint is not None
    assert constraint.param == param
    assert "start: " in constraint.grammar


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_last_message_that_is_gone_on_with(goes_on: bool) -> None:
    """Its turn stays open; whether its text is repeated is a wish of its own."""
    request = ChatCompletionRequest.model_validate(
        {
            "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [text("The")]}],
            "continue_final_message": goes_on,
            "echo": not goes_on,
        }
    )
    inner = to_generation_request(request)
    assert isinstance(inner.conversation, Conversation)
    assert inner.conversation.turns[-1] == Turn("assistant", ("The",))
    assert (inner.conversation.is_open, inner.echo) == (goes_on, not goes_on)
