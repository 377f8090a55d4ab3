"""`phiserve tokenizer`: the tokenizer's files, for tools that want a folder of them."""

from pathlib import Path
from typing import Annotated

import typer

from phiserve.checkpoint.embedded import locate
from phiserve.checkpoint.opened import open_checkpoint
from phiserve.checkpoint.tokenizer_repository import TokenizerRepository


def tokenizer(
    folder: Annotated[Path, typer.Argument(help="Folder to write; files of these names are replaced.")],
    model: Annotated[
        str | None, typer.Option(help="Folder or hub repository whose tokenizer to write.")
    ] = None,
) -> None:
    """Write the tokenizer as transformers loads it, for tools that count tokens by themselves."""
    checkpoint = open_checkpoint(locate(model, lambda line: typer.echo(line, err=True)))
    repository = TokenizerRepository.of(checkpoint.tokenizer_json)
    repository.write(folder)
    typer.echo(f"Wrote {' and '.join(repository.files)} into {folder}", err=True)
