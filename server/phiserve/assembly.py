"""From settings to the parts of a server, put together."""

import asyncio
import platform
import time
from dataclasses import replace
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
from phiserve.checkpoint.tokenizer_repository import TokenizerRepository
from phiserve.closing import close_all
from phiserve.codecs import FORMATS, parse, require_decoders
from phiserve.config import Settings
from phiserve.decider import Decider, decider_of
from phiserve.decisions.temperatures import load_temperatures
from phiserve.engine.interface import EngineClient
from phiserve.engine.supervisor import RestartPolicy, SupervisedEngine
from phiserve.errors import StartupError
from phiserve.load import Load
from phiserve.media.connector import MediaConnector
from phiserve.media.folder import MediaFolder
from phiserve.media.url_gate import UrlGate
from phiserve.media.web import WebFetcher
from phiserve.pipeline import Pipeline
from phiserve.preparation import PromptLimits, PromptPreparer
from phiserve.protocol.models import ModelCard, RequestLimits
from phiserve.sandbox.decoder import WorkerDecoder, can_start_workers
from phiserve.sandbox.limits import WorkerLimits
from phiserve.shared_prompts import SharedPreparer
from phiserve.store.limits import StoreLimits
from phiserve.store.location import locate
from phiserve.store.opening import open_store
from phiserve.vision.decoding import Decoder, ThreadDecoder
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits
from phiserve.warm_up import warm_up

if TYPE_CHECKING:  # vLLM takes seconds to import: not before the cheap checks have passed
    from phiserve.engine.plan import EnginePlan, Host
    from phiserve.engine.start import EngineReport
    from phiserve.span_export import SpanExport


def check_settings(settings: Settings) -> None:
    """Check what can be checked before anything is loaded or fetched.

    Beyond each setting's own form: whether the extra image formats have their decoders, whether URLs can
    name the image hosts, whether the file of keys can be read, and what database stores responses. Raises
    StartupError.
    """
    require_decoders(settings.extra_image_formats)
    media_connector(settings)
    access_gate(settings)
    locate(_revealed(settings.state_url))


async def start_services(settings: Settings, checkpoint: Checkpoint) -> tuple[Services, list[str]]:
    """Start the engine and build everything around it.

    Also returns lines that tell people what was decided. Raises StartupError.
    """
    check_settings(settings)
    from phiserve.engine.plan import detect_host
    from phiserve.engine.start import versions

    store = open_store(_revealed(settings.state_url), _store_limits(settings))
    gate = _started_gate(settings)
    host = detect_host()
    plan = engine_plan(settings, checkpoint, host)
    connector = media_connector(settings)
    images, decoder = _images(settings, checkpoint, host, connector)
    spans = _span_export(settings)
    engine, report = await _start_engine(settings, plan, checkpoint, images)
    limits, encoder = _prompt_limits(settings, engine, plan), PromptEncoder.load(checkpoint.tokenizer_json)
    preparer, load = PromptPreparer(encoder, images, limits), _load(settings, engine)
    engine.watch(partial(_warm_up, settings, preparer, images))
    services = Services(
        settings=settings,
        engine=engine,
        pipeline=_pipeline(settings, engine, preparer, images, load),
        decider=_decider(settings, checkpoint, engine, SharedPreparer(encoder, images, limits), load),
        preparer=preparer,
        vocabulary=Vocabulary.load(checkpoint.tokenizer_json),
        tokenizer=TokenizerRepository.of(checkpoint.tokenizer_json),
        card=_model_card(settings, checkpoint, limits),
        other_names=model_names(settings)[1:],
        metrics=engine.render_metrics,
        versions={"phiserve": __version__, "python": platform.python_version(), **versions()},
        close=partial(close_all, connector, images.close, engine.close, (gate, store, spans)),
        lost=engine.lost,
        gate=gate,
        tracer=None if spans is None else spans.tracer,
        store=store,
    )
    return services, [*report.lines(), decoder.describe()]


def engine_plan(settings: Settings, checkpoint: Checkpoint, host: "Host") -> "EnginePlan":
    """What the engine is started with on this host. Raises StartupError."""
    from phiserve.engine.plan import EngineOptions, plan_engine

    options = EngineOptions(
        name=model_names(settings)[0],
        max_crops=settings.max_crops,
        max_images=settings.max_images,
        max_crop_bytes_in_flight=settings.max_crop_bytes_in_flight,
        max_queue_s=settings.max_queue_s,
        shutdown_grace_s=settings.shutdown_grace_s,
        overrides=settings.engine,
    )
    taken = num_image_workers(settings, checkpoint, host) * _worker_limits(settings, checkpoint).all_bytes
    return plan_engine(checkpoint, replace(host, image_bytes=taken), options)


def num_image_workers(settings: Settings, checkpoint: Checkpoint, host: "Host") -> int:
    """How many images are decoded at once.

    By default one a core, but no more than have room in a third of the free memory, each with the largest
    image.
    """
    room = host.ram_bytes // 3 // _worker_limits(settings, checkpoint).all_bytes
    return settings.image_workers or max(1, min(host.cores, room))


def _worker_limits(settings: Settings, checkpoint: Checkpoint) -> WorkerLimits:
    limits = _image_limits(settings)
    max_crops = settings.max_crops or checkpoint.max_crops
    return WorkerLimits(limits.max_bytes, limits.max_pixels, max_crops, limits.formats)


def _decoder(settings: Settings, checkpoint: Checkpoint, workers: int) -> Decoder:
    """What decodes images: worker processes, or threads where they are switched off or cannot be."""
    if settings.image_sandbox == "off" or not can_start_workers():
        if settings.image_sandbox == "required":
            raise StartupError("image_sandbox is required, and this system cannot close processes off")
        return ThreadDecoder(parse, _image_limits(settings).formats)
    is_required = settings.image_sandbox == "required"
    return WorkerDecoder(_worker_limits(settings, checkpoint), workers, must_be_closed_off=is_required)


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


def _span_export(settings: Settings) -> "SpanExport | None":
    """Where this process's spans go, vLLM's among them."""
    if settings.traces_url is None:
        return None
    from phiserve.span_export import SpanExport

    return SpanExport.of_process(str(settings.traces_url))


def _store_limits(settings: Settings) -> StoreLimits:
    return StoreLimits(settings.state_max_age_days, settings.state_max_bytes_per_owner)


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def model_names(settings: Settings) -> tuple[str, ...]:
    """The names by which clients may ask for the model, the main one first."""
    if settings.served_model_name:
        return tuple(dict.fromkeys(settings.served_model_name))
    if settings.model is None:
        return (DEFAULT_NAME,)
    folder = Path(settings.model).expanduser()
    return (folder.resolve().name if folder.is_dir() else settings.model,)


async def _start_engine(
    settings: Settings, plan: "EnginePlan", checkpoint: Checkpoint, images: ImageService
) -> tuple[SupervisedEngine, "EngineReport"]:
    """Start the engine, and meanwhile compile what images are cut with. Closes `images` if that fails."""
    from phiserve.engine.start import EngineStarter

    traces_url = None if settings.traces_url is None else str(settings.traces_url)
    starter = EngineStarter(plan, checkpoint, traces_url)
    try:
        compiling = asyncio.create_task(images.compile_ahead())
        await asyncio.sleep(0)  # it begins, and goes on while the engine's process loads
        engine, report = await starter.first()
        await compiling
    except BaseException:
        images.close()
        raise
    policy = RestartPolicy(settings.max_engine_restarts, settings.engine_hang_s)
    return SupervisedEngine(engine, starter.again, policy), report


async def _warm_up(
    settings: Settings, preparer: PromptPreparer, images: ImageService, engine: EngineClient
) -> None:
    """Warm up an engine that takes the place of another. Raises StartupError."""
    pipeline = _pipeline(settings, engine, preparer, images, _load(settings, engine))
    await warm_up(pipeline, with_image=settings.max_images > 0)


def _load(settings: Settings, engine: EngineClient) -> Load:
    return Load(engine.limits.running, engine.limits.unfinished, settings.max_queue_s)


def _images(
    settings: Settings, checkpoint: Checkpoint, host: "Host", connector: MediaConnector
) -> tuple[ImageService, Decoder]:
    """What reads and decodes images, and what does the latter."""
    workers = num_image_workers(settings, checkpoint, host)
    decoder = _decoder(settings, checkpoint, workers)
    return ImageService(_image_limits(settings), workers, connector, decoder=decoder), decoder


def _decider(
    settings: Settings, checkpoint: Checkpoint, engine: EngineClient, preparer: SharedPreparer, load: Load
) -> Decider | None:
    folder, named = checkpoint.tokenizer_json.parent, settings.decision_temperatures
    return decider_of(engine, preparer, load, settings.decision_orders, load_temperatures(named, folder))


def _pipeline(
    settings: Settings, engine: EngineClient, preparer: PromptPreparer, images: ImageService, load: Load
) -> Pipeline:
    return Pipeline(engine, preparer, images, load, settings.max_choices, settings.default_max_tokens)


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
        id=model_names(settings)[0],
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
