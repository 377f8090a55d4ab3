"""The `phiserve` command. Imports little, so that `--help` and mistakes answer at once."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from phiserve import __version__
from phiserve.config import load_settings, parse_value
from phiserve.errors import StartupError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="An OpenAI-compatible chat server for Phi-3-vision.")
checkpoint_app = typer.Typer(no_args_is_help=True, help="Make checkpoints.")
app.add_typer(checkpoint_app, name="checkpoint")
_console = Console(stderr=True)


@app.command()
def serve(
    model: Annotated[str | None, typer.Option(help="Folder or hub repository; without it, the embedded default.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with settings.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    served_model_name: Annotated[str | None, typer.Option(help="Name under which clients ask for the model.")] = None,
    api_key: Annotated[
        str | None, typer.Option(help="Key that clients must send; better in PHISERVE_API_KEY, which no process list shows.")
    ] = None,
    engine: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="An engine argument of vLLM's; may be repeated.")
    ] = None,
) -> None:
    """Serve a Phi-3-vision checkpoint."""
    given = {"model": model, "host": host, "port": port, "served_model_name": served_model_name, "api_key": api_key}
    flags: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    try:
        flags["engine"] = dict(_key_value(item) for item in engine or ())
        settings = load_settings(config, flags)
        from phiserve.launcher import serve as run

        run(settings, _console)
    except StartupError as error:
        _fail(error)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@checkpoint_app.command()
def blank(
    folder: Annotated[Path, typer.Argument(help="Folder to write; must not exist or be empty.")],
    full: Annotated[bool, typer.Option("--full", help="The real model's size: 8.3 GB.")] = False,
    hidden: Annotated[int | None, typer.Option(min=2, help="Hidden size of the decoder.")] = None,
    layers: Annotated[int | None, typer.Option(min=1, help="Layers of the decoder.")] = None,
    heads: Annotated[int | None, typer.Option(min=1, help="Attention heads of the decoder.")] = None,
    intermediate: Annotated[int | None, typer.Option(min=1, help="Width of the feed-forward layers.")] = None,
    clip_layers: Annotated[int | None, typer.Option(min=1, max=23, help="Layers of CLIP that are used.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the weights.")] = 0,
) -> None:
    """Write a checkpoint with random weights: it serves, and its answers mean nothing."""
    from dataclasses import replace

    from phiserve.checkpoint.blank import FULL, BlankShape, write_blank

    sizes = {
        "hidden_size": hidden,
        "num_layers": layers,
        "num_heads": heads,
        "intermediate_size": intermediate,
        "clip_layers": clip_layers,
    }
    shape = replace(FULL if full else BlankShape(), seed=seed, **{k: v for k, v in sizes.items() if v is not None})
    try:
        write_blank(folder, shape)
    except StartupError as error:
        _fail(error)
    _console.print(f"Wrote {folder}", highlight=False)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _key_value(item: str) -> tuple[str, Any]:
    key, separator, value = item.partition("=")
    if not separator or not key:
        raise StartupError(f"--engine takes KEY=VALUE, got {item!r}")
    return key.replace("-", "_"), parse_value(value)


def _fail(error: StartupError) -> None:
    _console.print(f"[bold red]phiserve:[/] {error}", highlight=False, soft_wrap=True)
    raise typer.Exit(1)
