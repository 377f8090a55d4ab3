"""What is asked before clients are: every option that has a path of its own, and an image."""

import asyncio
from collections.abc import Callable
from dataclasses import fields

import pytest

from phiserve.core import SamplingOptions
from phiserve.errors import EngineFailure, StartupError
from phiserve.load import Load
from phiserve.pipeline import Pipeline
from phiserve.preparation import PromptPreparer
from phiserve.vision.images import ImageService
from phiserve.warm_up import _requests, warm_up
from scripted import ScriptedEngine, delta

MakePipeline = Callable[[ScriptedEngine], Pipeline]


@pytest.fixture
def make_pipeline(make_preparer: Callable[..., PromptPreparer], image_service: ImageService) -> MakePipeline:
    """Builds a pipeline on a scripted engine."""
    load = Load(running=1, unfinished=1, max_queue_s=60)
    return lambda engine: Pipeline(
        engine, make_preparer(engine.context_tokens), image_service, load, max_choices=1
    )


def test_every_option_is_used() -> None:
    """None of them is left at its default, where the engine would pass it over."""
    options, labels, constrained, image = _requests(with_image=True)
    for field in fields(SamplingOptions):
        assert getattr(options.sampling, field.name) != getattr(SamplingOptions(), field.name), field.name
    assert constrained.constraint is not None
    assert options.top_logprobs
    assert labels.read_token_ids
    assert options.stops.strings
    assert len(image.conversation.images) == 1
    assert len(list(_requests(with_image=False))) == 3


def test_all_are_answered(make_pipeline: MakePipeline) -> None:
    """One after the other."""
    engine = ScriptedEngine([delta("a", finish="stop")])
    asyncio.run(warm_up(make_pipeline(engine), with_image=True))
    assert [generation.request_id for generation in engine.generations] == [
        "warm-up-options",
        "warm-up-labels",
        "warm-up-constraint",
        "warm-up-image",
    ]


def test_an_engine_that_cannot_answer(make_pipeline: MakePipeline) -> None:
    """Does not serve."""
    engine = ScriptedEngine([EngineFailure("broken")])
    with pytest.raises(StartupError, match="broken"):
        asyncio.run(warm_up(make_pipeline(engine), with_image=True))
