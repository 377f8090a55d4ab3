"""The real openai client's Responses against a real engine: whole, streamed, parsed, with calls of tools."""

import json
from typing import Any

import openai
from pydantic import BaseModel

from e2e.asking import ask
from e2e.conftest import MODEL
from images import data_url, encode, photo, text_part
from responses_types import TEXT_EVENTS, strict_event, strict_response

QUESTION = "What is it?"
TOOL: Any = {
    "type": "function",
    "name": "look",
    "parameters": {
        "type": "object",
        "properties": {"at": {"enum": ["left", "right"]}},
        "required": ["at"],
        "additionalProperties": False,
    },
}


class Seen(BaseModel):
    """What an answer is parsed into."""

    large: bool


def shown() -> Any:
    """A person who shows an image and asks about it."""
    content = [
        {"type": "input_image", "image_url": data_url(encode(photo("coffee"))), "detail": "low"},
        {"type": "input_text", "text": QUESTION},
    ]
    return [{"role": "user", "content": content}]


def test_a_response_is_chat_s_answer(client: openai.OpenAI) -> None:
    """The same prompt, text and counts, whole and streamed; events in OpenAI's order."""
    options: dict[str, Any] = {"model": MODEL, "input": shown(), "temperature": 0, "max_output_tokens": 8}
    whole = client.responses.create(**options)
    strict_response(json.loads(whole.model_dump_json(exclude_unset=True, by_alias=True)))
    events: list[Any] = list(client.responses.create(stream=True, **options))
    for event in events:
        strict_event(json.loads(event.model_dump_json(exclude_unset=True, by_alias=True)))
    image = {"type": "image_url", "image_url": {"url": data_url(encode(photo("coffee"))), "detail": "low"}}
    chat = ask(client, image, text_part(QUESTION), temperature=0, max_tokens=8)
    assert chat.usage is not None
    assert whole.usage is not None
    assert whole.output_text == events[-1].response.output_text == chat.choices[0].message.content
    assert whole.usage.input_tokens == chat.usage.prompt_tokens
    assert whole.usage.output_tokens == chat.usage.completion_tokens
    last = "response.completed" if whole.status == "completed" else "response.incomplete"
    kinds = list(dict.fromkeys(event.type for event in events))
    assert kinds == [*TEXT_EVENTS[:-1], last]


def test_the_stream_of_the_client(client: openai.OpenAI) -> None:
    """Its accumulation of events, parsed too, is the response that came last."""
    with client.responses.stream(
        model=MODEL, input="Hi", text_format=Seen, max_output_tokens=40, temperature=0
    ) as stream:
        texts = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(texts) == final.output_text
    assert isinstance(final.output_parsed, Seen)


def test_a_parsed_answer(client: openai.OpenAI) -> None:
    """Held to the schema of a class."""
    response = client.responses.parse(model=MODEL, input="Hi", text_format=Seen, max_output_tokens=40)
    assert isinstance(response.output_parsed, Seen)


def test_a_call_and_its_result(client: openai.OpenAI) -> None:
    """A call that must be made is well-formed; sent back with its result, it is answered."""
    options: dict[str, Any] = {"model": MODEL, "tools": [TOOL], "max_output_tokens": 60}
    called = client.responses.create(
        input=shown(), tool_choice="required", parallel_tool_calls=False, **options
    )
    (call,) = called.output
    assert call.type == "function_call"
    assert (call.name, json.loads(call.arguments)["at"]) in [("look", "left"), ("look", "right")]
    history = [
        *shown(),
        call.model_dump(exclude_unset=True),
        {"type": "function_call_output", "call_id": call.call_id, "output": "A cup."},
    ]
    answered = client.responses.create(input=history, tool_choice="none", **options)
    assert answered.output[0].type == "message"
