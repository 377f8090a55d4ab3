"""The real openai client against a real engine, with real images: both wire forms, exact keys and counts,
errors, models.
"""

import asyncio
import base64
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from e2e.asking import ask, extras, user
from e2e.conftest import MODEL
from images import encode, image_part, photo, text_part
from phiserve.vision.sizes import plan_crops


@pytest.mark.parametrize(
    ("images", "question"),
    [
        (["page"], "Help me get the title and author information of this book?"),
        (["coffee"], "Could you please introduce this chart to me?"),
        (["china", "flower"], "What is the difference between these two images?"),
        (["astronaut", "rocket", "coffee"], "Compare."),
    ],
)
def test_images_cost_exactly_their_tokens(client: openai.OpenAI, images: list[str], question: str) -> None:
    """Usage counts each image as the size arithmetic says, and text and images make up the prompt."""
    detail = "high" if len(images) == 1 else "low"
    completion = ask(client, *(image_part(photo(name), detail) for name in images), text_part(question))
    usage = completion.usage
    assert usage is not None
    details = usage.prompt_tokens_details
    assert details is not None
    max_crops = 16 if detail == "high" else 1
    assert details.image_tokens == sum(plan_crops(*photo(name).size, max_crops).num_tokens for name in images)
    assert usage.prompt_tokens == details.image_tokens + (details.text_tokens or 0)
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert completion.choices[0].finish_reason in ("stop", "length")
    assert extras(completion) == {}


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_every_format(client: openai.OpenAI, form: str) -> None:
    """Each accepted file format is answered."""
    assert ask(client, image_part(encode(photo("coffee"), form), "low"), text_part("?")).usage is not None


def test_stream_equals_completion(client: openai.OpenAI) -> None:
    """The same greedy request streamed and whole: same text, same ids, same log-probabilities, same usage."""
    options: dict[str, Any] = {
        "max_tokens": 24,
        "logprobs": True,
        "top_logprobs": 3,
        "extra_body": {"return_token_ids": True, "ignore_eos": True},
    }
    parts = [image_part(photo("china"), "low"), text_part("Describe it.")]
    whole = ask(client, *parts, **options)
    stream = client.chat.completions.create(
        model=MODEL,
        messages=user(*parts),
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
        **options,
    )
    chunks: list[ChatCompletionChunk] = list(stream)
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    logprobs = [entry for choice in choices if choice.logprobs for entry in choice.logprobs.content or ()]
    token_ids = [token for choice in choices for token in (choice.model_extra or {}).get("token_ids", ())]
    assert "".join(choice.delta.content or "" for choice in choices) == whole.choices[0].message.content
    assert token_ids == extras(whole)["token_ids"]
    assert len(token_ids) == 24
    assert whole.choices[0].logprobs is not None
    assert [entry.token for entry in logprobs] == [
        entry.token for entry in whole.choices[0].logprobs.content or ()
    ]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens == 24
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


def test_logprob_bytes_add_up_to_the_content(client: openai.OpenAI) -> None:
    """The chosen tokens' bytes are the content's, and candidates are sorted, best first."""
    completion = ask(
        client, "Hi", max_tokens=20, logprobs=True, top_logprobs=5, extra_body={"ignore_eos": True}
    )
    assert completion.choices[0].logprobs is not None
    content = completion.choices[0].logprobs.content or []
    text = b"".join(bytes(entry.bytes or ()) for entry in content).decode("utf-8", "ignore")
    assert text == completion.choices[0].message.content
    for entry in content:
        values = [candidate.logprob for candidate in entry.top_logprobs]
        assert values == sorted(values, reverse=True)
        assert len(values) == 5
        assert entry.logprob == values[0]  # greedy


def test_logprobs_without_candidates(client: openai.OpenAI) -> None:
    """`top_logprobs` left out: the chosen token alone."""
    completion = ask(client, "Hi", logprobs=True, temperature=1, seed=3)
    assert completion.choices[0].logprobs is not None
    assert all(entry.top_logprobs == [] for entry in completion.choices[0].logprobs.content or ())


def test_all_roles(client: openai.OpenAI) -> None:
    """A conversation with every role is answered."""
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages: list[Any] = [
        {"role": "developer", "content": "Be terse."},
        {"role": "system", "content": [text_part("Please.")]},
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "A cat."},
        {"role": "assistant", "content": [text_part("It is a cat.")]},
        {"role": "user", "content": [text_part("And this?"), image_part(photo("coffee"), "low")]},
    ]
    completion = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=2)
    assert completion.usage is not None
    assert completion.usage.completion_tokens >= 1


def test_async_client_and_raw_response(url: str) -> None:
    """The asynchronous client, streaming, and the raw response with its headers."""

    async def run() -> None:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            stream = await client.chat.completions.create(
                model=MODEL, messages=user("Hi"), max_tokens=5, stream=True
            )
            finish = [chunk.choices[0].finish_reason async for chunk in stream]
            assert finish[-1] in ("stop", "length")
            assert finish[:-1] == [None] * (len(finish) - 1)
            raw = await client.chat.completions.with_raw_response.create(
                model=MODEL, messages=user("Hi"), max_tokens=2
            )
            assert raw.headers["x-request-id"]
            assert raw.parse().object == "chat.completion"

    asyncio.run(run())


def test_errors_arrive_as_the_clients_own(client: openai.OpenAI) -> None:
    """The client raises the classes its users catch, with code and param."""
    with pytest.raises(openai.BadRequestError) as bad_image:
        ask(client, image_part(b"not an image"), text_part("?"))
    assert bad_image.value.param == "messages[0].content[0].image_url"
    with pytest.raises(openai.BadRequestError) as too_long:
        ask(client, "word " * 5000)
    assert too_long.value.code == "context_length_exceeded"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-5", messages=user("Hi"))
    with pytest.raises(openai.BadRequestError) as unknown:
        ask(client, "Hi", extra_body={"nonsense": 1})
    assert unknown.value.param == "nonsense"
    with pytest.raises(openai.BadRequestError) as vocabulary:
        ask(client, "Hi", logit_bias={"40000": 1})
    assert vocabulary.value.param == "logit_bias"


def test_models(client: openai.OpenAI) -> None:
    """Listed and retrieved; the card says that the answers mean nothing."""
    (card,) = client.models.list().data
    assert card.id == MODEL
    assert client.models.retrieve(MODEL) == card
    assert "mean nothing" in (card.model_extra or {})["description"]


def test_same_bytes_by_another_name_are_the_same_image(client: openai.OpenAI) -> None:
    """An image sent again is recognised, whatever media type its URL claims: the whole prompt comes from the
    cache.
    """
    content = base64.b64encode(encode(photo("rocket"))).decode()
    counts = []
    for media_type in ("image/png", "image/jpeg"):
        part = {
            "type": "image_url",
            "image_url": {"url": f"data:{media_type};base64,{content}", "detail": "high"},
        }
        usage = ask(client, part, text_part("What is it?")).usage
        assert usage is not None
        assert usage.prompt_tokens_details is not None
        counts.append(usage.prompt_tokens_details.cached_tokens or 0)
    assert counts[0] < 128  # a KV block holds 128 tokens on CPU
    assert counts[1] > 1500
