"""`phiserve serve`. Imports little, so that mistakes answer at once."""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from phiserve.config import load_settings, parse_value
from phiserve.errors import StartupError


def serve(
    model: Annotated[
        str | None,
        typer.Option(help="Folder, hub repository, phiserve-blank, or phiserve-demo, the default."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with settings.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    served_model_name: Annotated[
        str | None, typer.Option(help="Name under which clients ask for the model.")
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            help="Key that clients must send; better in PHISERVE_API_KEY, which no process list shows."
        ),
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="An engine argument of vLLM's; may be repeated."),
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option(help="File to write the server's URL into once it accepts connections.")
    ] = None,
    attached: Annotated[
        bool, typer.Option("--attached", hidden=True, help="End when standard input ends.")
    ] = False,
) -> None:
    """Serve a Phi-3-vision checkpoint."""
    given = {
        "model": model,
        "host": host,
        "port": port,
        "served_model_name": served_model_name,
        "api_key": api_key,
    }
    flags = {key: value for key, value in given.items() if value is not None}
    settings = load_settings(config, flags, dict(map(_key_value, engine or ())))
    from phiserve.launcher import serve as run

    if attached:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    run(settings, Console(stderr=True), ready_file)


def _end_with_stdin() -> None:
    """Stop as on SIGTERM when whoever started this server is gone, however it ended."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _key_value(item: str) -> tuple[str, object]:
    key, separator, value = item.partition("=")
    if not separator or not key:
        raise StartupError(f"--engine takes KEY=VALUE, got {item!r}")
    return key.replace("-", "_"), parse_value(value)
