"""`phiserve serve`: start a server.

Imports little at first, so that mistakes in the settings are reported at once.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from phiserve.config_sources import load_settings, parse_value
from phiserve.errors import StartupError

Model = Annotated[
    str | None,
    typer.Option(help="Folder, hub repository, phiserve-blank or phiserve-demo; default: phiserve-demo."),
]
Config = Annotated[Path | None, typer.Option(help="YAML file with settings.")]
Quantize = Annotated[
    str | None,
    typer.Option(help="Quantize the decoder's weights, once, in the cache folder: int8, int4; fp8 on GPUs."),
]
Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")]
ServedModelName = Annotated[
    str | None, typer.Option(help="Model names that clients send, separated by commas.")
]
ApiKey = Annotated[
    str | None,
    typer.Option(help="Key that clients must send; better in PHISERVE_API_KEY, which no process list shows."),
]
EngineArguments = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="An engine argument of vLLM; may be repeated."),
]
ReadyFile = Annotated[
    Path | None, typer.Option(help="File that receives the server's URL once it accepts connections.")
]
Attached = Annotated[bool, typer.Option("--attached", hidden=True, help="End when standard input ends.")]


def serve(
    model: Model = None,
    config: Config = None,
    quantize: Quantize = None,
    host: Host = None,
    port: Port = None,
    served_model_name: ServedModelName = None,
    api_key: ApiKey = None,
    engine: EngineArguments = None,
    ready_file: ReadyFile = None,
    attached: Attached = False,
) -> None:
    """Serve a Phi-3-vision checkpoint."""
    given = {
        "model": model,
        "quantize": quantize,
        "host": host,
        "port": port,
        "served_model_name": served_model_name,
        "api_key": api_key,
    }
    flags = {name: value for name, value in given.items() if value is not None}
    settings = load_settings(config, flags, dict(map(key_value, engine or ())))
    from phiserve.launcher import serve as run

    run(settings, Console(stderr=True), ready_file, attached)


def key_value(item: str) -> tuple[str, object]:
    """An engine argument as it is typed: its name and its value. Raises StartupError."""
    key, separator, value = item.partition("=")
    if not separator or not key:
        raise StartupError(f"--engine takes KEY=VALUE, got {item!r}")
    return key.replace("-", "_"), parse_value(value)
