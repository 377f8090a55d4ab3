"""From settings to the parts of a server, put together."""

import asyncio
import logging
import platform
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from phiserve import __version__
from phiserve.access.budgets import Budgets
from phiserve.access.gate import Gate
from phiserve.access.keyring import Keyring
from phiserve.api.services import Services
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.vocabulary import Vocabulary
from phiserve.checkpoint.embedded import DEFAULT_NAME
from phiserve.checkpoint.opened import Checkpoint
from phiserve.codecs import FORMATS, require_decoders
from phiserve.config import Settings
from phiserve.engine.interface import EngineClient
from phiserve.engine.supervisor import RestartPolicy, SupervisedEngine
from phiserve.media.connector import MediaConnector
from phiserve.media.folder import MediaFolder
from phiserve.media.url_gate import UrlGate
from phiserve.media.web import WebFetcher
from phiserve.pipeline import Pipeline
from phiserve.preparation import PromptLimits, PromptPreparer
from phiserve.protocol.models import ModelCard, RequestLimits
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits
from phiserve.warm_up import warm_up

if TYPE_CHECKING:  # vLLM takes seconds to import: not before the cheap checks have passed
    from phiserve.engine.plan import EnginePlan, Host
    from phiserve.engine.start import EngineReport

_LOG = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 5.0
"""How long the end of the process waits for downloads to end."""


def check_settings(settings: Settings) -> None:
    """Check what can be checked before anything is loaded or fetched.

    Beyond each setting's own form: whether the extra image formats have their decoders, whether URLs can
    name the image hosts, and whether the file of keys can be read. Raises StartupError.
    """
    require_decoders(settings.extra_image_formats)
    media_connector(settings)
    access_gate(settings)


async def start_services(settings: Settings, checkpoint: Checkpoint) -> tuple[Services, list[str]]:
    """Start the engine and build everything around it.

    Also returns lines that tell people what was decided. Raises StartupError.
    """
    check_settings(settings)
    from phiserve.engine.plan import detect_host
    from phiserve.engine.start import versions

    gate = _started_gate(settings)
    host = detect_host()
    plan = engine_plan(settings, checkpoint, host)
    connector = media_connector(settings)
    images = ImageService(_image_limits(settings), settings.image_workers or host.cores, connector)
    engine, report = await _start_engine(settings, plan, checkpoint, images)
    limits = _prompt_limits(settings, engine, plan)
    preparer = PromptPreparer(PromptEncoder.load(checkpoint.tokenizer_json), images, limits)
    engine.watch(partial(_warm_up, settings, preparer, images))

    async def close() -> None:
        """End all connections, threads and processes."""
        try:
            await _close(connector, images.close, engine.close)
        finally:
            await _close_gate(gate)

    services = Services(
        settings=settings,
        engine=engine,
        pipeline=Pipeline(engine, preparer, images, settings.max_choices),
        preparer=preparer,
        vocabulary=Vocabulary.load(checkpoint.tokenizer_json),
        card=_model_card(settings, checkpoint, limits),
        metrics=engine.render_metrics,
        versions={"phiserve": __version__, "python": platform.python_version(), **versions()},
        close=close,
        lost=engine.lost,
        gate=gate,
    )
    return services, report.lines()


def engine_plan(settings: Settings, checkpoint: Checkpoint, host: "Host") -> "EnginePlan":
    """What the engine is started with on this host. Raises StartupError."""
    from phiserve.engine.plan import EngineOptions, plan_engine

    options = EngineOptions(
        name=model_name(settings),
        max_crops=settings.max_crops,
        max_images=settings.max_images,
        shutdown_grace_s=settings.shutdown_grace_s,
        overrides=settings.engine,
    )
    return plan_engine(checkpoint, host, options)


def media_connector(settings: Settings) -> MediaConnector:
    """Where images may come from besides data URLs. Raises StartupError for hosts that no URL can name."""
    hosts, folder, timeout_s = settings.image_hosts, settings.image_folder, settings.image_fetch_timeout_s
    return MediaConnector(
        web=WebFetcher(UrlGate(hosts), timeout_s) if hosts else None,
        folder=MediaFolder(folder, timeout_s) if folder else None,
    )


def access_gate(settings: Settings) -> Gate | None:
    """Who may come in; None for everybody. Raises StartupError for a file of keys that can't be read."""
    if settings.api_key is None and settings.keys_file is None:
        return None
    keyring = Keyring(_revealed(settings.api_key), settings.keys_file)
    return Gate(keyring, Budgets(_revealed(settings.limits_url)))


def _started_gate(settings: Settings) -> Gate | None:
    if (gate := access_gate(settings)) is not None:
        gate.start()
    return gate


async def _close_gate(gate: Gate | None) -> None:
    if gate is not None:
        await gate.close()


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def model_name(settings: Settings) -> str:
    """The name by which clients ask for the model."""
    if settings.served_model_name:
        return settings.served_model_name
    if settings.model is None:
        return DEFAULT_NAME
    folder = Path(settings.model).expanduser()
    return folder.resolve().name if folder.is_dir() else settings.model


async def _start_engine(
    settings: Settings, plan: "EnginePlan", checkpoint: Checkpoint, images: ImageService
) -> tuple[SupervisedEngine, "EngineReport"]:
    """Start the engine, and meanwhile compile what images are cut with. Closes `images` if that fails."""
    from phiserve.engine.start import EngineStarter

    starter = EngineStarter(plan, checkpoint)
    try:
        compiling = asyncio.create_task(images.compile_ahead())
        await asyncio.sleep(0)  # it begins, and goes on while the engine's process loads
        engine, report = await starter.first()
        await compiling
    except BaseException:
        images.close()
        raise
    policy = RestartPolicy(
        max_restarts=settings.max_engine_restarts,
        hang_s=settings.engine_hang_s,
        max_waiting=plan.args["max_num_queued_reqs"],
    )
    return SupervisedEngine(engine, starter.again, policy), report


async def _warm_up(
    settings: Settings, preparer: PromptPreparer, images: ImageService, engine: EngineClient
) -> None:
    """Warm up an engine that takes the place of another. Raises StartupError."""
    pipeline = Pipeline(engine, preparer, images, settings.max_choices)
    await warm_up(pipeline, with_image=settings.max_images > 0)


async def _close(
    connector: MediaConnector, images: Callable[[], None], engine: Callable[[], Awaitable[None]]
) -> None:
    """Close the connector, then images and engine in this order, whatever hangs or raises before it."""
    async with AsyncExitStack() as parts:
        parts.push_async_callback(engine)
        parts.callback(images)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await connector.close()
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


def _prompt_limits(settings: Settings, engine: SupervisedEngine, plan: "EnginePlan") -> PromptLimits:
    return PromptLimits(
        context_tokens=engine.limits.context_tokens,
        max_crops=plan.max_crops,
        max_images=settings.max_images,
        answer_reserve=settings.answer_reserve_tokens,
    )


def _model_card(settings: Settings, checkpoint: Checkpoint, limits: PromptLimits) -> ModelCard:
    return ModelCard(
        id=model_name(settings),
        created=int(time.time()),
        max_model_len=limits.context_tokens,
        max_crops=limits.max_crops,
        input_modalities=["text", "image"],
        limits=RequestLimits(
            max_total_tokens=limits.context_tokens,
            max_body_bytes=settings.max_body_bytes,
            max_images=settings.max_images,
            max_image_bytes=settings.max_image_bytes,
            max_image_pixels=settings.max_image_pixels,
            max_image_aspect_ratio=settings.max_image_aspect_ratio,
            max_request_image_bytes=settings.max_request_image_bytes,
            max_request_image_pixels=settings.max_request_image_pixels,
        ),
        description=checkpoint.kind.description,
    )
