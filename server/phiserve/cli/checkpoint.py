"""`phiserve checkpoint`: make checkpoints."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, help="Make checkpoints.")


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


@app.command()
def quantize(
    model: Annotated[str, typer.Argument(help="Folder, hub repository, phiserve-demo or phiserve-blank.")],
    folder: Annotated[Path, typer.Argument(help="Folder to write; must not exist or be empty.")],
    scheme: Annotated[Literal["int8", "int4"], typer.Option(help="What weights become.")],
    vision: Annotated[
        bool, typer.Option("--vision", help="CLIP's weights too, not the decoder's alone.")
    ] = False,
    seven_bit: Annotated[
        bool,
        typer.Option(
            "--seven-bit", help="int8 weights of at most 64, for CPUs without VNNI: others overflow."
        ),
    ] = False,
) -> None:
    """Write a checkpoint with quantized weights: int8 with int8 activations, or int4 in groups."""
    from phiserve.checkpoint.embedded import locate
    from phiserve.checkpoint.folders import check_free
    from phiserve.checkpoint.quantization import MAX_INT8, MAX_INT8_OVERFLOWING, Quantization, Scheme
    from phiserve.checkpoint.quantized_cache import local_source
    from phiserve.checkpoint.quantizing import quantize_checkpoint
    from phiserve.launcher import sigterm_raises
    from phiserve.served import quantizing_bar

    check_free(folder)  # before gigabytes are fetched
    largest = MAX_INT8_OVERFLOWING if seven_bit else MAX_INT8
    quantization = Quantization(Scheme(scheme), with_vision=vision, max_int8=largest)
    source = local_source(locate(model, lambda line: typer.echo(line, err=True)))
    with sigterm_raises(), quantizing_bar(Console(stderr=True)) as progress:
        quantize_checkpoint(source, folder, quantization, progress)
    typer.echo(f"Wrote {folder}", err=True)
