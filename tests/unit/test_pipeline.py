"""The orchestration: in which order a request meets its checks, and what the engine is handed."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from images import image_part, noise
from phiserve.core import Conversation, GenerationRequest, RawPrompt, StopConditions, Turn
from phiserve.errors import ContextLengthExceeded, InvalidImage, InvalidRequest, Overloaded
from phiserve.load import Load
from phiserve.pipeline import ENDLESS_MAX_TOKENS, OPEN_MAX_TOKENS, Pipeline
from phiserve.preparation import PromptPreparer
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.translation import to_generation_request
from phiserve.vision.images import ImageService
from scripted import ScriptedEngine, delta

MakePipeline = Callable[..., Pipeline]
MAX_CHOICES = 3


@pytest.fixture
def make_pipeline(make_preparer: Callable[..., PromptPreparer], image_service: ImageService) -> MakePipeline:
    """Builds a pipeline on a scripted engine."""
    return lambda engine, default_max_tokens=None: Pipeline(
        engine,
        make_preparer(engine.context_tokens),
        image_service,
        Load(running=2, unfinished=3, max_queue_s=60),
        MAX_CHOICES,
        default_max_tokens,
    )


def request(*parts: Any) -> GenerationRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": parts}]}
    return to_generation_request(ChatCompletionRequest.model_validate(body))


def test_a_full_engine_refuses_before_any_image_is_read(make_pipeline: MakePipeline) -> None:
    """Whatever else is wrong with the request."""
    engine = ScriptedEngine(refuse=Overloaded("full"))
    with pytest.raises(Overloaded):
        asyncio.run(make_pipeline(engine).prepare(request(image_part(b"bad"))))
    with pytest.raises(InvalidImage):
        asyncio.run(make_pipeline(ScriptedEngine()).prepare(request(image_part(b"bad"))))


def test_a_full_server_refuses_before_any_image_is_read(make_pipeline: MakePipeline) -> None:
    """Room is held from admission on, and free again after a mistake, an answer, and when dropped."""

    async def check() -> None:
        pipeline = make_pipeline(ScriptedEngine([delta("x", finish="stop")]))
        bad, good = request(image_part(b"bad")), request({"type": "text", "text": "Hi"})
        for _ in range(3):
            with pytest.raises(InvalidImage):
                await pipeline.prepare(bad)
        prepared = [await pipeline.prepare(good) for _ in range(2)]
        with pytest.raises(Overloaded):
            await pipeline.prepare(bad)
        assert [item.text async for item in pipeline.deltas(prepared.pop())] == ["x"]
        prepared.append(await pipeline.prepare(good))
        with pytest.raises(Overloaded):
            await pipeline.prepare(bad)
        prepared.clear()
        await pipeline.prepare(good)

    asyncio.run(check())


def test_too_many_choices(make_pipeline: MakePipeline) -> None:
    """Are refused by `n`, before the engine is asked: a 429 would make clients retry for ever."""
    pipeline = make_pipeline(ScriptedEngine(refuse=Overloaded("full")))
    for choices, error in ((MAX_CHOICES, Overloaded), (MAX_CHOICES + 1, InvalidRequest)):
        with pytest.raises(error) as caught:
            asyncio.run(
                pipeline.prepare(replace(request({"type": "text", "text": "Hi"}), num_choices=choices))
            )
    assert caught.value.param == "n"
    assert caught.value.message == "n: this server gives at most 3 choices (max_choices)"


def test_several_prompts_are_taken_together(make_pipeline: MakePipeline) -> None:
    """All or none: where one is refused, the room of those before it is free again at once."""

    async def check() -> None:
        pipeline = make_pipeline(ScriptedEngine())
        good, bad = (GenerationRequest("r", RawPrompt((5,) * length)) for length in (3, 4096))
        held = await pipeline.prepare(good)
        for requests, error in (([good, good], Overloaded), ([good, bad], ContextLengthExceeded)):
            with pytest.raises(error) as caught:
                await pipeline.prepare_all(requests)
            assert caught.value.__traceback__ is not None  # which holds what was prepared
            held.place.leave()
            both = await pipeline.prepare_all([good, good])
            assert [one.prompt.ids for one in both] == [[5, 5, 5]] * 2
            with pytest.raises(Overloaded):
                await pipeline.prepare(good)
            for one in both:
                one.place.leave()

    asyncio.run(check())


def test_more_prompts_than_there_ever_is_room_for(make_pipeline: MakePipeline) -> None:
    """Are refused for good, and hold no room: a 429 would make clients retry for ever."""

    async def check() -> None:
        pipeline = make_pipeline(ScriptedEngine())
        inner = GenerationRequest("r", RawPrompt((5,)))
        with pytest.raises(InvalidRequest) as caught:
            await pipeline.prepare_all([inner] * 4)
        assert caught.value.param == "prompt"
        assert len(await pipeline.prepare_all([inner] * 2)) == 2

    asyncio.run(check())


def test_an_answer_that_must_be_longer_than_its_room(make_pipeline: MakePipeline) -> None:
    """Is refused, whether or not the request states a limit of its own."""
    conversation = Conversation((Turn("user", ("Hi",)),))
    inner = GenerationRequest("r", conversation, stops=StopConditions(min_tokens=4096))
    with pytest.raises(InvalidRequest) as caught:
        asyncio.run(make_pipeline(ScriptedEngine()).prepare(inner))
    assert caught.value.param == "min_tokens"


JSON_OBJECT = {"response_format": {"type": "json_object"}}
JSON_SCHEMA = {
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
}


@pytest.mark.parametrize(
    ("fields", "unbounded", "bounded"),
    [
        ({}, None, 100),
        (JSON_OBJECT, ENDLESS_MAX_TOKENS, 100),
        (JSON_SCHEMA, None, 100),
        (JSON_OBJECT | {"max_tokens": 3000}, 3000, 3000),
        (JSON_OBJECT | {"min_tokens": 2000}, 2000, 2000),
        ({"max_completion_tokens": 9000}, None, None),
    ],
)
def test_answers_of_unstated_length(
    make_pipeline: MakePipeline, fields: dict[str, Any], unbounded: int | None, bounded: int | None
) -> None:
    """Have the length that the settings say; those of any JSON object are always bounded. None: the rest."""
    chat = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]} | fields
    inner = to_generation_request(ChatCompletionRequest.model_validate(chat))
    for default, expected in ((None, unbounded), (100, bounded)):
        pipeline = make_pipeline(ScriptedEngine(), default_max_tokens=default)
        prompt = asyncio.run(pipeline.prepare(inner)).prompt
        assert prompt.max_tokens == (4096 - len(prompt.ids) if expected is None else expected)


def with_tool(parameters: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The fields of a request that has one tool."""
    return {"tools": [{"type": "function", "function": {"name": "f", "parameters": parameters}}]} | fields


OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}
STATED = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 9}}}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (with_tool(OPEN, tool_choice="required"), OPEN_MAX_TOKENS),
        (with_tool(OPEN, tool_choice={"type": "function", "function": {"name": "f"}}), OPEN_MAX_TOKENS),
        (with_tool(STATED, tool_choice="required"), None),
        (with_tool(OPEN), None),
        (with_tool(OPEN) | JSON_OBJECT, ENDLESS_MAX_TOKENS),
        (with_tool(OPEN, tool_choice="required", max_tokens=5000), 5000),
        (JSON_SCHEMA, OPEN_MAX_TOKENS),
        ({"structured_outputs": {"json": OPEN}}, OPEN_MAX_TOKENS),
        ({"structured_outputs": {"json": STATED}}, None),
        ({"structured_outputs": {"regex": "a+"}}, OPEN_MAX_TOKENS),
        ({"structured_outputs": {"regex": "a{3}"}}, None),
        ({"structured_outputs": {"grammar": 'root ::= "a" root | "b"'}}, OPEN_MAX_TOKENS),
        ({"structured_outputs": {"choice": ["a"]}}, None),
    ],
)
def test_forms_that_do_not_say_how_long(
    make_preparer: Callable[..., PromptPreparer],
    image_service: ImageService,
    fields: dict[str, Any],
    expected: int | None,
) -> None:
    """Are bounded where the context is long; an answer that may be text is not, as text is not."""
    chat = {"messages": [{"role": "user", "content": "Hi"}]} | fields
    inner = to_generation_request(ChatCompletionRequest.model_validate(chat))
    engine = ScriptedEngine(context_tokens=20_000)
    load = Load(running=2, unfinished=3, max_queue_s=60)
    pipeline = Pipeline(engine, make_preparer(20_000), image_service, load, MAX_CHOICES)
    prompt = asyncio.run(pipeline.prepare(inner)).prompt
    assert prompt.max_tokens == (20_000 - len(prompt.ids) if expected is None else expected)


def test_same_image_same_key(make_pipeline: MakePipeline) -> None:
    """The engine's caches see equal images as equal, and another detail as another image."""
    engine = ScriptedEngine([delta("x", finish="stop")])
    pipeline = make_pipeline(engine)

    async def run() -> None:
        parts = [
            image_part(noise(30, 30), "low"),
            image_part(noise(30, 30), "low"),
            image_part(noise(30, 30), "high"),
        ]
        async for _ in pipeline.deltas(await pipeline.prepare(request(*parts))):
            pass

    asyncio.run(run())
    first, second, third = (image.key for image in engine.generations[0].images)
    assert first == second != third
