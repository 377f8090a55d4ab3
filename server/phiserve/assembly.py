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
from phiserve.api.body_budget import BodyBudget
from phiserve.api.services import Services
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.vocabulary import Vocabulary
from phiserve.checkpoint.embedded import DEFAULT_NAME
from phiserve.checkpoint.opened import Checkpoint
from phiserve.checkpoint.tokenizer_repository import TokenizerRepository
from phiserve.closing import close_all
from phiserve.codecs import require_decoders
from phiserve.config import Settings
from phiserve.decider import decider_of
from phiserve.decisions.temperatures import load_temperatures
from phiserve.engine.forking import EngineTemplate
from phiserve.engine.interface import EngineClient
from phiserve.engine.supervisor import RestartPolicy, SupervisedEngine
from phiserve.files.limits import FileLimits
from phiserve.files.location import check_url as check_files_url
from phiserve.files.opening import open_files
from phiserve.image_assembly import image_service, media_connector, num_image_workers, worker_limits
from phiserve.load import Load
from phiserve.media.file_source import NoFiles
from phiserve.pipeline import Pipeline
from phiserve.preparation import PromptLimits, PromptPreparer
from phiserve.protocol.models import ModelCard, RequestLimits
from phiserve.shared_prompts import SharedPreparer
from phiserve.store.limits import StoreLimits
from phiserve.store.location import locate
from phiserve.store.opening import open_store
from phiserve.vision.images import ImageService
from phiserve.warm_up import warm_up

if TYPE_CHECKING:  # vLLM takes seconds to import: not before the cheap checks have passed
    from phiserve.engine.host import Host
    from phiserve.engine.plan import EnginePlan
    from phiserve.engine.start import EngineReport
    from phiserve.span_export import SpanExport


def check_settings(settings: Settings) -> None:
    """Check what can be checked before anything is loaded or fetched.

    Beyond each setting's own form: whether the extra image formats have their decoders, whether URLs can
    name the image hosts, whether the file of keys can be read, what database stores responses, and where
    files are kept. Raises StartupError.
    """
    require_decoders(settings.extra_image_formats)
    media_connector(settings)
    access_gate(settings)
    state = locate(_revealed(settings.state_url))
    check_files_url(settings.files_url, is_needed=state is not None and state.file is None)


async def start_services(
    settings: Settings, checkpoint: Checkpoint, template: EngineTemplate | None = None
) -> tuple[Services, list[str]]:
    """Start the engine and all around it; also lines that tell what was decided. Raises StartupError."""
    check_settings(settings)
    temperatures = load_temperatures(settings.decision_temperatures, checkpoint.temperatures_json)
    store = open_store(_revealed(settings.state_url), _store_limits(settings))
    files = open_files(settings.files_url, file_limits(settings), store)
    gate, host = _started_gate(settings), _detected_host()
    plan = engine_plan(settings, checkpoint, host)
    spans, connector = _span_export(settings), replace(media_connector(settings), files=files or NoFiles())
    images, decoder = image_service(settings, checkpoint, host, connector)
    engine, report = await _start_engine(settings, plan, checkpoint, images, template)
    limits, load = _prompt_limits(settings, engine, plan), _load(settings, engine)
    encoder = PromptEncoder.load(checkpoint.tokenizer_json)
    preparer, shared = PromptPreparer(encoder, images, limits), SharedPreparer(encoder, images, limits)
    engine.watch(partial(_warm_up, settings, preparer, images))
    services = Services(
        settings=settings,
        engine=engine,
        pipeline=_pipeline(settings, engine, preparer, images, load),
        decider=decider_of(engine, shared, load, settings.decision_orders, temperatures),
        preparer=preparer,
        vocabulary=Vocabulary.load(checkpoint.tokenizer_json),
        tokenizer=TokenizerRepository.of(checkpoint.tokenizer_json),
        card=_model_card(settings, checkpoint, limits),
        other_names=model_names(settings)[1:],
        metrics=engine.render_metrics,
        versions=_versions(),
        bodies=BodyBudget.of(settings),
        close=partial(close_all, connector, images.close, engine.close, (gate, files, store, spans)),
        lost=engine.lost,
        gate=gate,
        tracer=None if spans is None else spans.tracer,
        store=store,
        files=files,
        batches=None if store is None else store.batches,
    )
    return services, [*report.lines(), decoder.describe()]


def _detected_host() -> "Host":
    from phiserve.engine.host import detect_host

    return detect_host()


def _versions() -> dict[str, str]:
    from phiserve.engine.start import versions

    return {"phiserve": __version__, "python": platform.python_version(), **versions()}


def engine_plan(settings: Settings, checkpoint: Checkpoint, host: "Host") -> "EnginePlan":
    """What the engine is started with on this host. Raises StartupError."""
    from phiserve.engine.plan import EngineOptions, plan_engine

    options = EngineOptions(
        name=model_names(settings)[0],
        max_crops=settings.max_crops,
        encode_slice_ms=settings.encode_slice_ms,
        max_images=settings.max_images,
        max_crop_bytes_in_flight=settings.max_crop_bytes_in_flight,
        max_queue_s=settings.max_queue_s,
        shutdown_grace_s=settings.shutdown_grace_s,
        overrides=settings.engine,
    )
    taken = num_image_workers(settings, checkpoint, host) * worker_limits(settings, checkpoint).all_bytes
    return plan_engine(checkpoint, replace(host, image_bytes=taken), options)


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


def file_limits(settings: Settings) -> FileLimits:
    """How large files may be, how many, and how old."""
    return FileLimits(
        max_bytes=settings.files_max_bytes,
        max_upload_bytes=settings.files_max_upload_bytes,
        max_bytes_per_owner=settings.files_max_bytes_per_owner,
        max_age_days=settings.files_max_age_days,
    )


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
    settings: Settings,
    plan: "EnginePlan",
    checkpoint: Checkpoint,
    images: ImageService,
    template: EngineTemplate | None,
) -> tuple[SupervisedEngine, "EngineReport"]:
    """Start the engine, and meanwhile compile what images are cut with. Ends both if either fails."""
    from phiserve.engine.start import EngineStarter

    traces_url = None if settings.traces_url is None else str(settings.traces_url)
    starter = EngineStarter(plan, checkpoint, traces_url, template)
    try:
        compiling = asyncio.create_task(images.compile_ahead())
        await asyncio.sleep(0)  # it begins, and goes on while the engine's process loads
        engine, report = await starter.first()
        try:
            await compiling
        except BaseException:
            engine.shutdown()  # or this process would wait for it for ever
            raise
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


def _pipeline(
    settings: Settings, engine: EngineClient, preparer: PromptPreparer, images: ImageService, load: Load
) -> Pipeline:
    return Pipeline(engine, preparer, images, load, settings.max_choices, settings.default_max_tokens)


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
            max_pdf_bytes=settings.max_pdf_bytes,
            max_request_image_bytes=settings.max_request_image_bytes,
            max_request_image_pixels=settings.max_request_image_pixels,
        ),
        description=checkpoint.description,
    )
