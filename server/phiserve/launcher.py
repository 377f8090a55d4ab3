"""From settings to a running server: checks, engine, app, socket, signals."""

import platform
import signal
import socket
import time
from collections.abc import Iterator
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
from phiserve.protocol.responses import ModelCard
from phiserve.vision.formats import FORMATS, require_decoders
from phiserve.vision.pictures import PictureLimits, PictureService

BLANK_NOTE = "random weights, for trying out the server; its answers mean nothing"
_WARM_UP_PICTURE = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAACAkQBADs="
"""A GIF of one pixel."""


def serve(settings: Settings, console: Console) -> None:
    """Serve until SIGINT or SIGTERM. Raises StartupError, before anything is loaded wherever that can be told."""
    with _bound_socket(settings.host, settings.port) as listener, _sigterm_raises():
        prepare_environment()
        checkpoint = open_checkpoint(settings.model or str(embedded_checkpoint(console.print)))
        uvloop.run(_serve(settings, checkpoint, listener, console))


async def _serve(settings: Settings, checkpoint: Checkpoint, listener: socket.socket, console: Console) -> None:
    began = time.monotonic()
    console.print(f"phiserve {__version__}: loading {_model_name(settings)} …")
    services, report = await start_services(settings, checkpoint)
    try:
        if settings.max_images:
            await _warm_up(services)
        lines = _banner(listener, services.card, report, time.monotonic() - began)
        config = uvicorn.Config(
            create_app(services),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=settings.shutdown_grace_s,
        )
        # Off while loading, so that no second server could bind; on again, so that the next one can soon after this one's end.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        await _AnnouncingServer(config, console, lines).serve(sockets=[listener])
    finally:
        services.close()


async def start_services(settings: Settings, checkpoint: Checkpoint) -> tuple[Services, list[str]]:
    """Start the engine and build everything around it; also the lines that say what was decided."""
    formats = (*FORMATS, *settings.extra_image_formats)
    require_decoders(formats)
    # vLLM takes seconds to import: not before the cheap checks have passed.
    from phiserve.engine.plan import detect_host, plan_engine
    from phiserve.engine.start import start_engine, versions

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
    pictures = PictureService(
        PictureLimits(settings.max_image_bytes, settings.max_image_pixels, settings.max_image_aspect_ratio, formats),
        settings.picture_workers or host.cores,
    )
    pipeline = ChatPipeline(
        engine,
        PromptEncoder.load(checkpoint.tokenizer_json),
        pictures,
        PipelineLimits(plan.budget, settings.max_images, settings.answer_reserve_tokens),
    )

    def close() -> None:
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
        description=f"Phi-3-vision with {BLANK_NOTE}" if checkpoint.is_blank else "Phi-3-vision",
    )


class _AnnouncingServer(uvicorn.Server):
    """Prints the banner once connections are accepted, not before."""

    def __init__(self, config: uvicorn.Config, console: Console, lines: list[str]) -> None:
        super().__init__(config)
        self._console = console
        self._lines = lines

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        for line in self._lines:
            self._console.print(line, highlight=False, soft_wrap=True)


def _banner(listener: socket.socket, card: ModelCard, report: list[str], seconds: float) -> list[str]:
    """What was decided, and last the address."""
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"
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
