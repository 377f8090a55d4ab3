"""`phiserve checkpoint`: make checkpoints."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Make checkpoints.")


@app.callback()
def checkpoint() -> None:
    """Keep `blank` a subcommand while it is the only one."""


@app.command()
def blank(
    folder: Annotated[Path, typer.Argument(help="Folder to write; must not exist or be empty.")],
    full: Annotated[bool, typer.Option("--full", help="The real model's size: 8.3 GB.")] = False,
    hidden: Annotated[int | None, typer.Option(min=2, help="Hidden size of the decoder.")] = None,
    layers: Annotated[int | None, typer.Option(min=1, help="Layers of the decoder.")] = None,
    heads: Annotated[int | None, typer.Option(min=1, help="Attention heads of the decoder.")] = None,
    intermediate: Annotated[int | None, typer.Option(min=1, help="Width of the feed-forward layers.")] = None,
    clip_layers: Annotated[
        int | None, typer.Option(min=1, max=23, help="Layers of CLIP that are used.")
    ] = None,
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
    given = {name: size for name, size in sizes.items() if size is not None}
    write_blank(folder, replace(FULL if full else BlankShape(), seed=seed, **given))
    typer.echo(f"Wrote {folder}", err=True)
