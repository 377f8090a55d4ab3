"""The real openai client's stored responses and conversations, against a real engine."""

import json
import time
from typing import Any

import openai
import pytest

from e2e.conftest import MODEL
from images import data_url, encode, photo
from responses_types import strict_response

SHOWN: Any = [
    {
        "role": "user",
        "content": [
            {"type": "input_image", "image_url": data_url(encode(photo("coffee"))), "detail": "low"},
            {"type": "input_text", "text": "What is it?"},
        ],
    }
]
OPTIONS: dict[str, Any] = {"model": MODEL, "temperature": 0, "max_output_tokens": 8}


def strict(response: Any) -> Any:
    """A response as the client got it, checked."""
    return strict_response(json.loads(response.model_dump_json(exclude_unset=True, by_alias=True)))


def test_a_response_is_kept_until_it_is_deleted(client: openai.OpenAI) -> None:
    """As it was given, streamed or not; then it is a 404."""
    whole = client.responses.create(input=SHOWN, **OPTIONS)
    *_, last = client.responses.create(input="Hi", stream=True, **OPTIONS)
    assert last.type in ("response.completed", "response.incomplete")
    for response in (whole, last.response):
        assert client.responses.retrieve(response.id) == response
        strict(response)
        client.responses.delete(response.id)
        with pytest.raises(openai.NotFoundError, match=f"Response with id '{response.id}' not found."):
            client.responses.retrieve(response.id)


def test_a_response_about_an_image_is_continued(client: openai.OpenAI) -> None:
    """Counts and answer are those of the whole conversation as input; its items are listed."""
    first = client.responses.create(input=SHOWN, instructions="Be brief", **OPTIONS)
    second = client.responses.create(input="And now?", previous_response_id=first.id, **OPTIONS)
    said = [*SHOWN, *(item.model_dump() for item in first.output), {"role": "user", "content": "And now?"}]
    whole = client.responses.create(input=said, store=False, **OPTIONS)
    assert second.usage is not None
    assert whole.usage is not None
    assert second.usage.input_tokens == whole.usage.input_tokens
    assert second.output_text == whole.output_text
    items: Any = list(client.responses.input_items.list(second.id, order="asc", limit=2))
    assert [item.role for item in items] == ["user", "assistant", "user"]
    assert items[0].content[0].image_url == SHOWN[0]["content"][0]["image_url"]
    assert items[1].id == first.output[0].id
    streamed = client.responses.create(
        input="And now?", previous_response_id=first.id, stream=True, **OPTIONS
    )
    *_, last = streamed
    assert last.type in ("response.completed", "response.incomplete")
    assert last.response.output_text == second.output_text


def test_a_conversation(client: openai.OpenAI) -> None:
    """Begun, continued by responses, changed, listed, ended."""
    conversation = client.conversations.create(items=SHOWN, metadata={"topic": "cups"})
    first = client.responses.create(conversation=conversation.id, **OPTIONS)
    assert first.conversation is not None
    assert first.conversation.id == conversation.id
    client.responses.create(input="And now?", conversation=conversation.id, **OPTIONS)
    listed: Any = list(client.conversations.items.list(conversation.id, order="asc"))
    assert [item.role for item in listed] == ["user", "assistant", "user", "assistant"]
    shown = client.conversations.items.retrieve(listed[1].id, conversation_id=conversation.id)
    assert shown == listed[1]
    client.conversations.items.delete(listed[1].id, conversation_id=conversation.id)
    added = client.conversations.items.create(
        conversation.id, items=[{"role": "user", "content": "So?", "type": "message"}]
    )
    listed = list(client.conversations.items.list(conversation.id, limit=1, order="desc"))
    assert (len(listed), listed[0]) == (4, added.data[0])
    changed = client.conversations.update(conversation.id, metadata={"topic": "mugs"})
    assert client.conversations.retrieve(conversation.id) == changed
    assert client.conversations.delete(conversation.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(conversation.id)


def test_in_the_background(client: openai.OpenAI) -> None:
    """Queued, fetched until it has ended, the same answer as for a client that waits."""
    queued = client.responses.create(input=SHOWN, background=True, **OPTIONS)
    assert (queued.status, queued.background) == ("queued", True)
    ended = polled(client, queued.id)
    strict(ended)
    waited = client.responses.create(input=SHOWN, **OPTIONS)
    assert (ended.status, ended.output_text) == (waited.status, waited.output_text)
    assert client.responses.cancel(queued.id) == ended


def test_a_stream_in_the_background(client: openai.OpenAI) -> None:
    """Its client hangs up; the answer goes on, and is followed from there, also by the stream's own class."""
    options = OPTIONS | {"max_output_tokens": 200, "extra_body": {"ignore_eos": True}}
    stream = client.responses.create(input=SHOWN, background=True, stream=True, **options)
    seen: list[Any] = []
    with stream:
        for event in stream:
            seen.append(event)
            if event.type == "response.output_text.delta":
                break
    response_id = seen[0].response.id
    assert client.responses.retrieve(response_id).status == "in_progress"
    after = seen[-1].sequence_number
    rest = list(client.responses.retrieve(response_id, stream=True, starting_after=after))
    assert [event.sequence_number for event in rest] == [*range(after + 1, rest[-1].sequence_number + 1)]
    assert rest[-1].type == "response.incomplete"
    text = "".join(event.delta for event in [*seen, *rest] if event.type == "response.output_text.delta")
    assert text == rest[-1].response.output_text == client.responses.retrieve(response_id).output_text
    whole = list(client.responses.retrieve(response_id, stream=True))
    assert whole == [*seen, *rest]
    with client.responses.stream(response_id=response_id, starting_after=after) as followed:
        kinds = [event.type for event in followed]
    assert kinds == [event.type for event in rest]


def test_cancelling(client: openai.OpenAI) -> None:
    """It ends the work, and stays; what nobody put into the background is not cancelled."""
    queued = client.responses.create(model=MODEL, input="Hi", background=True)
    cancelled = client.responses.cancel(queued.id)
    assert cancelled.status == "cancelled"
    strict(cancelled)
    assert client.responses.retrieve(queued.id) == cancelled
    waited = client.responses.create(input="Hi", **OPTIONS)
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        client.responses.cancel(waited.id)


def polled(client: openai.OpenAI, response_id: str, timeout_s: float = 120) -> Any:
    """A response once it has ended."""
    deadline = time.monotonic() + timeout_s
    while (response := client.responses.retrieve(response_id)).status in ("queued", "in_progress"):
        assert time.monotonic() < deadline, response.status
        time.sleep(0.1)
    return response
