"""From settings to the parts of a server, put together."""

import asyncio
import logging
import platform
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from phiserve import __version__
from phiserve.api.services import Services
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.vocabulary import Vocabulary
from phiserve.checkpoint.embedded import DEFAULT_NAME
from phiserve.checkpoint.opened import Checkpoint
from phiserve.codecs.formats import FORMATS, require_decoders
from phiserve.config import Settings
from phiserve.media.connector import ImageSources
from phiserve.media.folder import ImageFolder
from phiserve.media.url_gate import UrlGate
from phiserve.media.web import ImageFetcher
from phiserve.pipeline import Pipeline
from phiserve.preparation import PromptLimits, PromptPreparer
from phiserve.protocol.models import ModelCard, RequestLimits
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits

_LOG = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 5.0
"""What the end of the process waits for downloads to end."""

BLANK_NOTE = "Phi-3-vision with random weights, for trying out the server; its answers mean nothing"
DEMO_NOTE = "a tiny model trained on drawn images, to show and test the server; not Phi-3-vision"
NOTES = (BLANK_NOTE, DEMO_NOTE)
"""What people should know of our own checkpoints: told by the banner and by `/v1/models`."""


def check_settings(settings: Settings) -> None:
    """What can be told of settings before anything is loaded or fetched, beyond their own form. Raises
    StartupError.
    """
    require_decoders(settings.extra_image_formats)
    _image_sources(settings)


async def start_services(settings: Settings, checkpoint: Checkpoint) -> tuple[Services, list[str]]:
    """Start the engine and build everything around it; also the lines that say what was decided."""
    check_settings(settings)
    # vLLM takes seconds to import: not before the cheap checks have passed.
    from phiserve.engine.plan import EngineOptions, detect_host, plan_engine
    from phiserve.engine.start import start_engine, versions

    host = detect_host()
    options = EngineOptions(
        name=model_name(settings),
        max_crops=settings.max_crops,
        max_images=settings.max_images,
        shutdown_grace_s=settings.shutdown_grace_s,
        overrides=settings.engine,
    )
    plan = plan_engine(checkpoint, host, options)
    sources = _image_sources(settings)
    images = ImageService(_image_limits(settings), settings.image_workers or host.cores, sources)
    try:
        compiling = asyncio.create_task(images.compile_ahead())
        await asyncio.sleep(0)  # it begins, and goes on while the engine's process loads
        engine, report = await start_engine(plan, checkpoint)
        await compiling
    except BaseException:
        images.close()
        raise
    limits = PromptLimits(
        context_tokens=engine.limits.context_tokens,
        max_crops=plan.max_crops,
        max_images=settings.max_images,
        answer_reserve=settings.answer_reserve_tokens,
    )
    preparer = PromptPreparer(PromptEncoder.load(checkpoint.tokenizer_json), images, limits)

    async def close() -> None:
        """End all connections, threads and processes."""
        await _close(sources, images.close, engine.shutdown)

    services = Services(
        settings=settings,
        engine=engine,
        pipeline=Pipeline(engine, preparer, images),
        preparer=preparer,
        vocabulary=Vocabulary.load(checkpoint.tokenizer_json),
        card=_model_card(settings, checkpoint, engine.limits.context_tokens, plan.max_crops),
        metrics=engine.render_metrics,
        versions={"phiserve": __version__, "python": platform.python_version(), **versions()},
        close=close,
    )
    return services, report.lines()


async def _close(sources: ImageSources, *others: Callable[[], None]) -> None:
    """Close the sources, then everything else in this order, whatever hangs or raises before it."""
    async with AsyncExitStack() as parts:
        for close in reversed(others):
            parts.callback(close)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await sources.close()
        except TimeoutError:
            _LOG.warning("Downloads did not end within %g s; they are left to themselves", CLOSE_TIMEOUT_S)


def _image_limits(settings: Settings) -> ImageLimits:
    return ImageLimits(
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
        max_aspect_ratio=settings.max_image_aspect_ratio,
        max_request_bytes=settings.max_request_image_bytes,
        max_request_pixels=settings.max_request_image_pixels,
        formats=(*FORMATS, *settings.extra_image_formats),
    )


def _image_sources(settings: Settings) -> ImageSources:
    hosts, folder = settings.image_hosts, settings.image_folder
    return ImageSources(
        web=ImageFetcher(UrlGate(hosts), settings.image_fetch_timeout_s) if hosts else None,
        folder=ImageFolder(folder, settings.image_fetch_timeout_s) if folder else None,
    )


def model_name(settings: Settings) -> str:
    """What clients ask for."""
    if settings.served_model_name:
        return settings.served_model_name
    if settings.model is None:
        return DEFAULT_NAME
    folder = Path(settings.model).expanduser()
    return folder.resolve().name if folder.is_dir() else settings.model


def _model_card(settings: Settings, checkpoint: Checkpoint, context_tokens: int, max_crops: int) -> ModelCard:
    return ModelCard(
        id=model_name(settings),
        created=int(time.time()),
        max_model_len=context_tokens,
        max_crops=max_crops,
        input_modalities=["text", "image"],
        limits=RequestLimits(
            max_total_tokens=context_tokens,
            max_body_bytes=settings.max_body_bytes,
            max_images=settings.max_images,
            max_image_bytes=settings.max_image_bytes,
            max_image_pixels=settings.max_image_pixels,
            max_image_aspect_ratio=settings.max_image_aspect_ratio,
            max_request_image_bytes=settings.max_request_image_bytes,
            max_request_image_pixels=settings.max_request_image_pixels,
        ),
        description=BLANK_NOTE
        if checkpoint.is_blank
        else DEMO_NOTE
        if checkpoint.is_demo
        else "Phi-3-vision",
    )
