"""From settings to a running server: checks, engine, app, socket, signals."""

import platform
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import uvicorn
import uvloop
from rich.console import Console

from phiserve import __version__
from phiserve.api.app import create_app
from phiserve.api.services import Services
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.vocabulary import Vocabulary
from phiserve.checkpoint.embedded import EMBEDDED_NAME, embedded_checkpoint
from phiserve.checkpoint.opened import Checkpoint, open_checkpoint
from phiserve.config import Settings
from phiserve.engine.plugin import prepare_environment
from phiserve.errors import RequestError, StartupError
from phiserve.pipeline import ChatPipeline, PipelineLimits
from phiserve.protocol.requests import ChatCompletionRequest
from phiserve.protocol.responses import ModelCard, RequestLimits
from phiserve.vision.fetch import PictureFetcher
from phiserve.vision.folder import PictureFolder
from phiserve.vision.formats import FORMATS, require_decoders
from phiserve.vision.limits import PictureLimits
from phiserve.vision.pictures import PictureService
from phiserve.vision.sources import PictureSources
from phiserve.vision.url_gate import UrlGate

BLANK_NOTE = "random weights, for trying out the server; its answers mean nothing"
_WARM_UP_PICTURE = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs="
"""A GIF of one pixel."""


def serve(settings: Settings, console: Console, ready_file: Path | None = None) -> None:
    """Serve until SIGINT or SIGTERM; `ready_file` gets the URL as soon as connections are accepted.

    Raises StartupError, before anything is loaded wherever that can be told.
    """
    with _bound_socket(settings.host, settings.port) as listener, _sigterm_raises():
        prepare_environment()
        checkpoint = open_checkpoint(settings.model or str(embedded_checkpoint(console.print)))
        uvloop.run(_serve(settings, checkpoint, listener, console, ready_file))


async def _serve(
    settings: Settings, checkpoint: Checkpoint, listener: socket.socket, console: Console, ready_file: Path | None
) -> None:
    began = time.monotonic()
    console.print(f"phiserve {__version__}: loading {_model_name(settings)} …")
    services, report = await start_services(settings, checkpoint)
    try:
        if settings.max_images:
            await _warm_up(services)
        url = _url_of(listener)
        lines = _banner(url, services.card, report, time.monotonic() - began)
        config = uvicorn.Config(
            create_app(services),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=settings.shutdown_grace_s,
        )
        # Off while loading, so that no second server could bind; on again, so that the next one can soon after this one's end.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        def announce() -> None:
            for line in lines:
                console.print(line, highlight=False, soft_wrap=True)
            if ready_file is not None:
                _write_whole(ready_file, url)

        await _AnnouncingServer(config, announce).serve(sockets=[listener])
    finally:
        await services.close()


async def start_services(settings: Settings, checkpoint: Checkpoint) -> tuple[Services, list[str]]:
    """Start the engine and build everything around it; also the lines that say what was decided."""
    # vLLM takes seconds to import: not before the cheap checks have passed.
    from phiserve.engine.plan import detect_host, plan_engine
    from phiserve.engine.start import start_engine, versions

    formats = (*FORMATS, *settings.extra_image_formats)
    require_decoders(formats)
    host = detect_host()
    plan = plan_engine(
        checkpoint,
        host,
        name=_model_name(settings),
        budget=settings.crop_budget,
        max_images=settings.max_images,
        shutdown_grace_s=settings.shutdown_grace_s,
        overrides=settings.engine,
    )
    engine, report = await start_engine(plan, checkpoint)
    fetcher = _picture_fetcher(settings)
    pictures = PictureService(
        _picture_limits(settings, formats),
        settings.picture_workers or host.cores,
        PictureSources(fetcher, PictureFolder(settings.image_folder) if settings.image_folder else None),
    )
    pipeline = ChatPipeline(
        engine,
        PromptEncoder.load(checkpoint.tokenizer_json),
        pictures,
        PipelineLimits(plan.budget, settings.max_images, settings.answer_reserve_tokens),
    )

    async def close() -> None:
        if fetcher is not None:
            await fetcher.close()
        pictures.close()
        engine.shutdown()

    services = Services(
        settings=settings,
        engine=engine,
        pipeline=pipeline,
        vocabulary=Vocabulary.load(checkpoint.tokenizer_json),
        card=_model_card(settings, checkpoint, engine.limits.context_tokens, plan.budget),
        metrics=engine.render_metrics,
        versions={"phiserve": __version__, "python": platform.python_version(), **versions()},
        close=close,
    )
    return services, report.lines()


async def _warm_up(services: Services) -> None:
    """Send one picture through everything, so that the first request is not the first: nothing else warms up a CPU engine."""
    request = ChatCompletionRequest.model_validate(
        {
            "model": services.card.id,
            "max_tokens": 1,
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": _WARM_UP_PICTURE, "detail": "low"}}],
                }
            ],
        }
    )
    try:
        async with aclosing(services.pipeline.deltas(await services.pipeline.prepare(request))) as deltas:
            async for _ in deltas:
                pass
    except RequestError as error:
        raise StartupError(f"The engine starts, but cannot answer a small picture: {error.message}") from error


def _picture_limits(settings: Settings, formats: tuple[str, ...]) -> PictureLimits:
    return PictureLimits(
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
        max_aspect_ratio=settings.max_image_aspect_ratio,
        max_request_bytes=settings.max_request_image_bytes,
        max_request_pixels=settings.max_request_image_pixels,
        formats=formats,
    )


def _picture_fetcher(settings: Settings) -> PictureFetcher | None:
    if not settings.image_hosts:
        return None
    return PictureFetcher(UrlGate(settings.image_hosts), settings.image_fetch_timeout_s)


def _model_name(settings: Settings) -> str:
    if settings.served_model_name:
        return settings.served_model_name
    if settings.model is None:
        return EMBEDDED_NAME
    folder = Path(settings.model).expanduser()
    return folder.resolve().name if folder.is_dir() else settings.model


def _model_card(settings: Settings, checkpoint: Checkpoint, context_tokens: int, budget: int) -> ModelCard:
    return ModelCard(
        id=_model_name(settings),
        created=int(time.time()),
        max_model_len=context_tokens,
        crop_budget=budget,
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
        description=f"Phi-3-vision with {BLANK_NOTE}" if checkpoint.is_blank else "Phi-3-vision",
    )


class _AnnouncingServer(uvicorn.Server):
    """Says so once connections are accepted, not before."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._announce()


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def _write_whole(file: Path, text: str) -> None:
    """Write a file that nobody sees half of."""
    beginning = file.with_name(f"{file.name}.part")
    beginning.write_text(text, encoding="utf-8")
    beginning.replace(file)


def _banner(url: str, card: ModelCard, report: list[str], seconds: float) -> list[str]:
    """What was decided, and last the address."""
    lines = [*(f"  {line}" for line in report)]
    if BLANK_NOTE in card.description:
        lines.append(f"[yellow]{card.id} has {BLANK_NOTE}[/]")
    lines.append(f"[bold]{card.id}[/] at [bold]{url}[/], ready after {seconds:.0f} s")
    return lines


@contextmanager
def _bound_socket(host: str, port: int) -> Iterator[socket.socket]:
    """A socket bound, but not listening: the port is ours before anything is loaded, and connections are refused until it is."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise StartupError(f"Cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}") from None
        # Needed to bind soon after a restart; while it stays on, a second server could bind beside us until we listen.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        yield listener


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Let SIGTERM unwind the stack while the engine is loading, as Ctrl-C does, so that its processes end too."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
