"""A running server: its socket, signals, warm-up, banner and end."""

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import uvicorn
import uvloop
from rich.console import Console

from phiserve import __version__
from phiserve.api.app import create_app
from phiserve.api.request_log import RequestLog, line_logger
from phiserve.api.services import Services
from phiserve.api.shutdown import Shutdown
from phiserve.assembly import check_settings, model_names, start_services
from phiserve.checkpoint.kinds import CheckpointKind
from phiserve.checkpoint.opened import Checkpoint
from phiserve.config import Settings
from phiserve.connections.limits import ConnectionLimits, affordable_connections
from phiserve.connections.server import DrainingServer, server_config
from phiserve.engine.environment import prepare_environment
from phiserve.engine.forking import EngineTemplate, begin_template
from phiserve.errors import EngineLost, StartupError
from phiserve.served import served_checkpoint
from phiserve.warm_up import warm_up


def serve(
    settings: Settings, console: Console, ready_file: Path | None = None, attached: bool = False
) -> None:
    """Serve until SIGINT or SIGTERM, if `attached` no longer than standard input is open.

    `ready_file` receives the URL as soon as connections are accepted. Raises StartupError, wherever possible
    before anything is loaded.
    """
    check_settings(settings)  # here too: a checkpoint may be gigabytes to fetch
    with _bound_socket(settings.host, settings.port) as listener, sigterm_raises():
        prepare_environment()
        checkpoint = served_checkpoint(settings, console)
        began = time.monotonic()
        console.print(f"phiserve {__version__}: loading {model_names(settings)[0]} …")
        with closing(begin_template()) as template:
            if attached:  # not before: nothing is forked from a process with threads
                threading.Thread(target=_end_with_stdin, daemon=True).start()
            uvloop.run(_serve(settings, checkpoint, template, listener, console, ready_file, began))


async def _serve(
    settings: Settings,
    checkpoint: Checkpoint,
    template: EngineTemplate,
    listener: socket.socket,
    console: Console,
    ready_file: Path | None,
    began: float,
) -> None:
    services, report = await start_services(settings, checkpoint, template)
    try:
        await warm_up(services.pipeline, with_image=settings.max_images > 0)
        url = _url_of(listener)
        lines = _banner(url, services.card.id, checkpoint.kind, report, time.monotonic() - began)
        # Off while loading, so that no second server could bind; on again, so that the next one can soon
        # after this one's end.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        def announce() -> None:
            """Print the banner, and hand out the URL."""
            for line in lines:
                console.print(line, highlight=False, soft_wrap=True)
            if ready_file is not None:
                _write_whole(ready_file, url)

        gc.collect()
        gc.freeze()  # or every full collection would go through all that the imported modules hold
        server = _server(services, announce)
        await _serve_until_lost(server, listener, services)
        if server.hurried_by is not None:
            os._exit(128 + server.hurried_by)  # the engine's processes watch this one, and end with it
    finally:
        await services.close()


async def _serve_until_lost(server: uvicorn.Server, listener: socket.socket, services: Services) -> None:
    """Serve until a signal ends it. Raises EngineLost once no engine can be kept running."""

    async def end_when_lost() -> str:
        reason = await services.lost()
        server.should_exit = True
        return reason

    ending = asyncio.create_task(end_when_lost())
    try:
        await server.serve(sockets=[listener])
        if ending.done():
            raise EngineLost(ending.result())
    finally:
        ending.cancel()


def _server(services: Services, announce: Callable[[], None]) -> DrainingServer:
    """The application behind connections with the settings' limits."""
    settings = services.settings
    limits = ConnectionLimits(
        settings.max_connections or affordable_connections(),
        settings.head_timeout_s,
        settings.body_timeout_s,
        settings.read_timeout_s,
    )
    shutdown = Shutdown()
    return DrainingServer(
        server_config(create_app(services, shutdown), limits, RequestLog(line_logger(settings.log_requests))),
        shutdown,
        grace_s=settings.shutdown_grace_s,
        delay_s=settings.shutdown_delay_s,
        announce=announce,
    )


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def _end_with_stdin() -> None:
    """Stop as on SIGTERM when the process that started this server is gone, however it ended."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _write_whole(file: Path, text: str) -> None:
    """Write a file in one step, so that no reader ever sees a part of it."""
    part = file.with_name(f"{file.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)


def _banner(url: str, name: str, kind: CheckpointKind, report: list[str], seconds: float) -> list[str]:
    """Lines that say what was decided, whether the model is not the real one, and last the address."""
    lines = [f"  {line}" for line in report]
    if not kind.is_real:
        lines.append(f"[yellow]{name}: {kind.description}[/]")
    lines.append(f"[bold]{name}[/] at [bold]{url}[/], ready after {seconds:.0f} s")
    return lines


@contextmanager
def _bound_socket(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that is bound, but does not listen.

    The port is ours before anything is loaded, and connections are refused until the server listens. Raises
    StartupError.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise StartupError(
                f"Cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}"
            ) from None
        # Needed to bind soon after a restart; while it stays on, a second server could bind beside us until
        # we listen.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        yield listener


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Let SIGTERM unwind the stack, as Ctrl-C does.

    So the engine's processes end while it is loading, and what is half-written goes.
    """

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    previous = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
