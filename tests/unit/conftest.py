"""An app around a scripted engine."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from phiserve.protocol.responses import ModelCard

from phiserve.api.services import Services
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.vocabulary import Vocabulary
from phiserve.checkpoint.blank import BlankShape, write_blank
from phiserve.config import Settings
from phiserve.pipeline import ChatPipeline, PipelineLimits
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits
from scripted import ScriptedEngine
from wire import LIMITS


@pytest.fixture(scope="session")
def image_service() -> Iterator[ImageService]:
    """Real images, default limits."""
    service = ImageService(ImageLimits(), workers=2)
    yield service
    service.close()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest blank checkpoint."""
    folder = tmp_path_factory.mktemp("checkpoint") / "blank"
    write_blank(
        folder, BlankShape(hidden_size=32, num_layers=1, num_heads=2, intermediate_size=32, clip_layers=1)
    )
    return folder


@pytest.fixture
def make_pipeline(encoder: PromptEncoder, image_service: ImageService) -> Callable[..., ChatPipeline]:
    """Builds a pipeline on a scripted engine."""

    def make(
        engine: ScriptedEngine, max_crops: int = 16, max_images: int = 4, reserve: int = 64
    ) -> ChatPipeline:
        return ChatPipeline(engine, encoder, image_service, PipelineLimits(max_crops, max_images, reserve))

    return make


@pytest.fixture
def make_services(
    make_pipeline: Callable[..., ChatPipeline], vocabulary: Vocabulary
) -> Callable[..., Services]:
    """Builds a server's services around a scripted engine."""

    def make(engine: ScriptedEngine, **settings: object) -> Services:
        return Services(
            settings=Settings.model_validate(settings),
            engine=engine,
            pipeline=make_pipeline(engine),
            vocabulary=vocabulary,
            card=ModelCard("m", 0, engine.context_tokens, 16, ["text", "image"], LIMITS, ""),
            metrics=lambda: b"x 1\n",
            versions={"phiserve": "0"},
        )

    return make
