"""An app around a scripted engine."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from phiserve.api.body_budget import BodyBudget
from phiserve.api.services import Services
from phiserve.assembly import access_gate, file_limits
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.vocabulary import Vocabulary
from phiserve.checkpoint.blank import BlankShape, write_blank
from phiserve.checkpoint.tokenizer_repository import TokenizerRepository
from phiserve.config import Settings
from phiserve.decider import Decider, Undecided, decider_of
from phiserve.decisions.temperatures import Temperatures
from phiserve.files.keeping import FileKeeper
from phiserve.files.opening import open_files
from phiserve.image_assembly import media_connector
from phiserve.load import Load
from phiserve.media.file_source import NoFiles
from phiserve.pipeline import Pipeline
from phiserve.preparation import PromptLimits, PromptPreparer
from phiserve.protocol.models import ModelCard
from phiserve.shared_prompts import SharedPreparer
from phiserve.store.limits import StoreLimits
from phiserve.store.opening import open_store
from phiserve.store.sql_store import SqlStore
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits
from reading import ReadingEngine
from scripted import ScriptedEngine
from wire import LIMITS


@dataclass(frozen=True, slots=True)
class StatefulParts:
    """Parts of a server that stores something, and reads images from there."""

    store: SqlStore
    files: FileKeeper | None
    images: ImageService

    @classmethod
    def in_folder(cls, folder: Path, settings: Settings) -> "StatefulParts":
        """In files of SQLite and others; `files_url` may be off."""
        store = open_store(f"sqlite:///{folder / 'state.db'}", StoreLimits())
        files = open_files(settings.files_url, file_limits(settings), store)
        assert store is not None
        connector = replace(media_connector(settings), files=files or NoFiles())
        return cls(store, files, ImageService(ImageLimits(), workers=2, connector=connector))

    def added_to(self, services: Services) -> Services:
        """The same services with these parts."""
        batches = self.store.batches
        return replace(services, store=self.store, files=self.files, batches=batches, close=self.close)

    async def close(self) -> None:
        """As a server does."""
        self.images.close()
        if self.files is not None:
            await self.files.close()
        await self.store.close()


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
def make_preparer(encoder: PromptEncoder, image_service: ImageService) -> Callable[..., PromptPreparer]:
    """Builds what turns conversations into prompts, without any engine."""

    def make(
        context_tokens: int = 4096,
        max_crops: int = 16,
        max_images: int = 4,
        reserve: int = 64,
        encoder: PromptEncoder = encoder,
        images: ImageService = image_service,
    ) -> PromptPreparer:
        limits = PromptLimits(context_tokens, max_crops, max_images, reserve)
        return PromptPreparer(encoder, images, limits)

    return make


@pytest.fixture(scope="session")
def tokenizer(tokenizer_json: Path) -> TokenizerRepository:
    """The tokenizer as other programs get it."""
    return TokenizerRepository.of(tokenizer_json)


def decider_around(
    engine: ScriptedEngine, encoder: PromptEncoder, images: ImageService
) -> Decider | Undecided:
    """What decides, where the engine can tell of labels."""
    if not isinstance(engine, ReadingEngine):
        return Undecided("it cannot tell of labels")
    preparer = SharedPreparer(encoder, images, PromptLimits(engine.context_tokens, 16, 4, 64))
    return decider_of(engine, preparer, Load(64, 256, 60), 1, Temperatures())


@pytest.fixture
def make_services(
    make_preparer: Callable[..., PromptPreparer],
    encoder: PromptEncoder,
    image_service: ImageService,
    vocabulary: Vocabulary,
    tokenizer: TokenizerRepository,
) -> Callable[..., Services]:
    """Builds a server's services around a scripted engine."""

    def make(engine: ScriptedEngine, *, state: Path | None = None, **settings: object) -> Services:
        """`state`: the folder in which responses and files are stored; None for none.

        They decide where the engine can tell of labels.
        """
        parsed = Settings.model_validate(settings)
        parts = None if state is None else StatefulParts.in_folder(state, parsed)
        images = image_service if parts is None else parts.images
        preparer = make_preparer(engine.context_tokens, images=images)
        services = Services(
            settings=parsed,
            gate=access_gate(parsed),
            engine=engine,
            pipeline=Pipeline(
                engine, preparer, images, Load(64, 256, parsed.max_queue_s), parsed.max_choices
            ),
            decider=decider_around(engine, encoder, images),
            preparer=preparer,
            vocabulary=vocabulary,
            tokenizer=tokenizer,
            card=ModelCard("m", 0, engine.context_tokens, 16, ["text", "image"], LIMITS, ""),
            other_names=parsed.served_model_name,
            metrics=lambda: b"x 1\n",
            versions={"phiserve": "0"},
            bodies=BodyBudget.of(parsed),
        )
        return services if parts is None else parts.added_to(services)

    return make
