"""Answers in a prescribed form, from a model whose own words mean nothing: whatever fits the form was
enforced.
"""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jsonschema
import openai
import pytest

from e2e.conftest import MODEL
from images import image_part, photo, text_part
from phiserve.chat.encoder import PromptEncoder

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["chart", "cover", "photograph"]},
        "colours": {
            "type": "array",
            "items": {"enum": ["red", "green", "blue"]},
            "minItems": 2,
            "maxItems": 3,
        },
        "sharp": {"type": "boolean"},
    },
    "required": ["kind", "colours", "sharp"],
    "additionalProperties": False,
}
AS_SCHEMA = {"type": "json_schema", "json_schema": {"name": "image", "schema": SCHEMA, "strict": True}}


def ask(client: openai.OpenAI, *parts: Any, **options: Any) -> Any:
    """One answer about these parts."""
    messages: Any = [{"role": "user", "content": [*parts, text_part("Describe it as JSON.")]}]
    return client.chat.completions.create(model=MODEL, messages=messages, **({"max_tokens": 100} | options))


def test_schema(client: openai.OpenAI) -> None:
    """Every answer about an image follows the schema, sampled ones too, without white space, and ends by
    itself.
    """
    completion = ask(
        client, image_part(photo("coffee"), "low"), response_format=AS_SCHEMA, n=4, temperature=1, seed=1
    )
    for choice in completion.choices:
        jsonschema.validate(json.loads(choice.message.content), SCHEMA)
        assert choice.finish_reason == "stop"
        assert not re.search(r"\s", choice.message.content)
    assert len({choice.message.content for choice in completion.choices}) > 1


def test_schema_streamed(client: openai.OpenAI) -> None:
    """The same, in pieces."""
    chunks = ask(client, response_format=AS_SCHEMA, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    jsonschema.validate(json.loads(text), SCHEMA)


def test_schema_as_a_class(client: openai.OpenAI) -> None:
    """The openai client's own way: a pydantic class in, an instance out."""
    from typing import Literal

    from pydantic import BaseModel

    class Image(BaseModel):
        """What the answer holds."""

        kind: Literal["chart", "cover"]
        sharp: bool

    messages: Any = [{"role": "user", "content": "?"}]
    completion = client.chat.completions.parse(
        model=MODEL, messages=messages, response_format=Image, max_tokens=50
    )
    assert isinstance(completion.choices[0].message.parsed, Image)


def test_json_object(client: openai.OpenAI, encoder: PromptEncoder) -> None:
    """Any object. A bias for quotes and commas helps a model whose strings hardly ever end by themselves."""
    bias = {str(encoder.encode_text(text)[-1]): 8 for text in ('a"', "a{", "a}", "a:")}
    choices = ask(
        client, response_format={"type": "json_object"}, n=8, seed=1, logit_bias=bias, max_tokens=60
    ).choices
    finished = [json.loads(choice.message.content) for choice in choices if choice.finish_reason == "stop"]
    assert finished
    assert {type(value) for value in finished} == {dict}


@pytest.mark.parametrize(
    ("constraint", "pattern"),
    [
        ({"regex": "[0-9]{3}-[a-f]{2}"}, r"[0-9]{3}-[a-f]{2}"),
        ({"choice": ["a bar chart", "a book cover"]}, r"a bar chart|a book cover"),
        ({"grammar": 'root ::= "yes" | "no" " " ("indeed" | "never")'}, r"yes|no (indeed|never)"),
        ({"json": {"enum": [1, 2]}}, r"[12]"),
    ],
)
def test_structured_outputs(client: openai.OpenAI, constraint: dict[str, Any], pattern: str) -> None:
    """vLLM's own constraints."""
    choice = ask(client, extra_body={"structured_outputs": constraint}).choices[0]
    assert re.fullmatch(pattern, choice.message.content)
    assert choice.finish_reason == "stop"


@pytest.mark.parametrize(
    "constraint",
    [{"choice": [" yes"]}, {"choice": ["  yes"]}, {"regex": " y[e]s"}, {"grammar": 'root ::= " yes"'}],
    ids=str,
)
def test_a_space_at_the_beginning(client: openai.OpenAI, constraint: dict[str, Any]) -> None:
    """An answer that is to begin with a space does, whole and streamed, and so do its tokens."""
    asked = {"extra_body": {"structured_outputs": constraint}, "logprobs": True}
    choice = ask(client, **asked).choices[0]
    assert re.fullmatch(" +yes", choice.message.content)
    assert "".join(entry.token for entry in choice.logprobs.content) == choice.message.content
    chunks = list(ask(client, **asked, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == choice.message.content


BOUNDED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "minLength": 3, "maxLength": 6},
        "code": {"type": "string", "pattern": "^[A-Z]{2}-.{1,3}$"},
        "taken": {"type": "string", "format": "date"},
        "share": {"type": "number", "minimum": 0, "maximum": 1},
        "boxes": {
            "type": "array",
            "prefixItems": [{"type": "integer", "maximum": 9}],
            "items": {"type": "null"},
            "maxItems": 3,
        },
        "note": {"anyOf": [{"const": "none"}, {"type": "boolean"}]},
    },
    "required": ["title", "code", "taken", "share", "boxes", "note"],
}


def test_bounds_are_enforced(client: openai.OpenAI) -> None:
    """Lengths, patterns, ranges: every answer that is finished follows them, from a model that knows nothing
    of them.
    """
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": BOUNDED}}
    choices = ask(client, response_format=form, n=8, temperature=2, seed=3, max_tokens=300).choices
    finished = [choice for choice in choices if choice.finish_reason == "stop"]
    assert finished
    for choice in finished:
        jsonschema.validate(json.loads(choice.message.content), BOUNDED)


def test_optional_ends(client: openai.OpenAI) -> None:
    """Where an answer may end or go on, each of the model's four end tokens ends it: one alone hardly ever
    comes.
    """
    outputs = {"structured_outputs": {"regex": "[0-9]+"}}
    choices = ask(client, extra_body=outputs, n=8, seed=5, temperature=1).choices
    assert all(re.fullmatch("[0-9]+", choice.message.content) for choice in choices)
    assert all(choice.finish_reason == "stop" for choice in choices)


def test_nothing_follows_the_end(client: openai.OpenAI) -> None:
    """Not even where `ignore_eos` would let the model go on."""
    options = {"structured_outputs": {"choice": ["yes", "no"]}, "ignore_eos": True}
    choice = ask(client, extra_body=options, max_tokens=9).choices[0]
    assert choice.message.content in ("yes", "no")
    assert choice.finish_reason == "stop"


@pytest.mark.parametrize("text", ["<|user|>", "a<|end|>b", "</s>", "<s><unk>", "<|endoftext|>"])
def test_spelt_control_tokens(client: openai.OpenAI, text: str) -> None:
    """A text that spells a control token is an answer's text like any other."""
    schema = {
        "type": "object",
        "properties": {text: {"const": text}},
        "required": [text],
        "additionalProperties": False,
    }
    choice = ask(client, **schema_format(schema)).choices[0]
    assert json.loads(choice.message.content) == {text: text}
    assert choice.finish_reason == "stop"


COSTLY = {"structured_outputs": {"grammar": 'root ::= a "."\na ::= [a-z]' + " | [a-z] a" * 8}}
"""Has ever more readings from letter to letter."""


@pytest.mark.parametrize("parts", [(), (image_part(photo("coffee"), "low"),)], ids=["text", "image"])
def test_too_costly_in_mid_answer(client: openai.OpenAI, parts: tuple[Any, ...]) -> None:
    """An error, never half an answer as if it were whole."""
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client, *parts, extra_body=COSTLY)
    assert (caught.value.status_code, caught.value.code) == (500, "engine_error")


def test_too_costly_while_it_is_streamed(client: openai.OpenAI) -> None:
    """The error is the last event, after what had been written."""
    chunks = ask(client, extra_body=COSTLY, stream=True)
    texts: list[str] = []

    def read() -> None:
        for chunk in chunks:
            texts.extend(choice.delta.content or "" for choice in chunk.choices)

    with pytest.raises(openai.APIError) as caught:
        read()
    assert caught.value.code == "engine_error"
    assert re.fullmatch("[a-z]+", "".join(texts))


def test_many_at_once(client: openai.OpenAI) -> None:
    """Constraints of every kind beside each other and beside ones that fail: each answer is its own."""
    kinds: list[tuple[dict[str, Any], str]] = [
        (schema_format(SCHEMA), r"\{.*\}"),
        ({"extra_body": {"structured_outputs": {"regex": "[a-c]{3,9}[0-9]"}}}, "[a-c]{3,9}[0-9]"),
        ({"extra_body": {"structured_outputs": {"choice": ["one", "two"]}}}, "one|two"),
        ({"extra_body": COSTLY}, ""),
    ]

    def answer(number: int) -> str:
        options, pattern = kinds[number % len(kinds)]
        try:
            choice = ask(client, seed=number, **options).choices[0]
        except openai.InternalServerError:
            return "" if not pattern else "failed"
        assert choice.finish_reason == "stop"
        return "" if re.fullmatch(pattern, choice.message.content) else choice.message.content

    with ThreadPoolExecutor(64) as threads:
        assert list(threads.map(answer, range(64))) == [""] * 64


def schema_format(schema: dict[str, Any]) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}


@pytest.mark.parametrize(
    ("options", "param"),
    [
        (schema_format({"type": "nonsense"}), "response_format.json_schema.schema.type"),
        (
            schema_format({"properties": {"a": {"not": {}}}}),
            "response_format.json_schema.schema.properties.a.not",
        ),
        (schema_format({"$ref": "#"}), "response_format.json_schema.schema.$ref"),
        ({"extra_body": {"structured_outputs": {"regex": "(["}}}, "structured_outputs.regex"),
        (
            {"extra_body": {"structured_outputs": {"grammar": "root ::= nowhere"}}},
            "structured_outputs.grammar",
        ),
        ({"extra_body": {"structured_outputs": {"grammar": "root ::= root"}}}, "structured_outputs.grammar"),
    ],
)
def test_what_cannot_be_enforced_is_refused(
    client: openai.OpenAI, options: dict[str, Any], param: str
) -> None:
    """Before any work on images, and naming the place."""
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, image_part(b"not even an image"), **options)
    assert caught.value.param == param


def test_the_server_lives_on(client: openai.OpenAI) -> None:
    """After constraints of every kind, plain requests are answered as ever."""
    assert ask(client, max_tokens=2).choices[0].finish_reason in ("stop", "length")
