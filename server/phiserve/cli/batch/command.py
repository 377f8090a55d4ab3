"""`phiserve batch`: many requests without a server, from a file of lines or from a folder of images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from phiserve.cli.ask import ImageDetail, MaxTokens, Pages, System
from phiserve.cli.batch.choices import ImageChoices
from phiserve.cli.batch.images import ImageQuestion, image_files, read_schema
from phiserve.cli.batch.remote import RunningServer
from phiserve.cli.batch.running import run_images, run_lines
from phiserve.cli.batch.work import Place
from phiserve.cli.content import Detail, check_pages, system_messages
from phiserve.cli.decide import typed_choice
from phiserve.cli.serve import Config, EngineArguments, Model, ServedModelName, key_value
from phiserve.cli.streams import typed
from phiserve.config_sources import load_settings
from phiserve.errors import StartupError

SOME_FAILED = 3
"""The exit status where all was asked, and some of the answers are errors."""

Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE.jsonl", help="Requests as OpenAI's batches have them, one a line."),
]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", help="File that answers are written to; a later run goes on with it."),
]
Errors = Annotated[
    Path | None, typer.Option(metavar="FILE.jsonl", help="Another file for answers that are errors.")
]
Images = Annotated[
    list[str] | None,
    typer.Option(metavar="FOLDER", help="Instead of a file: images and PDFs of a folder or a pattern."),
]
Ask = Annotated[str | None, typer.Option("--ask", help="What is asked about each image.")]
Choice = Annotated[
    list[str] | None,
    typer.Option(help="Or which of several it is, as in 'What is it?=invoice,letter'; may be repeated."),
]
Schema = Annotated[
    Path | None,
    typer.Option(metavar="FILE.json", help="JSON schema of the answers: a column for each property."),
]
Temperature = Annotated[
    float, typer.Option(min=0, max=2, help="Sampling temperature of answers about images.")
]
Url = Annotated[
    str | None, typer.Option(help="Server to ask; default: an engine of the command's own, and no server.")
]
AtOnce = Annotated[
    int | None, typer.Option(min=1, help="Requests under way at once; default: what keeps the engine busy.")
]


def batch(
    output: Output,
    words: Words = None,
    errors: Errors = None,
    images: Images = None,
    ask: Ask = None,
    choice: Choice = None,
    schema: Schema = None,
    system: System = None,
    detail: ImageDetail = Detail.AUTO,
    pages: Pages = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = 0.0,
    url: Url = None,
    at_once: AtOnce = None,
    model: Model = None,
    served_model_name: ServedModelName = None,
    config: Config = None,
    engine: EngineArguments = None,
) -> None:
    """Answer a file of requests, or a question about many images: all that the output does not answer yet."""
    _check_folder(output)
    place = _place(url, config, {"model": model, "served_model_name": served_model_name}, engine or ())
    given = (ask, schema, system, max_tokens)
    check_pages(pages)
    if images:
        asked: ImageQuestion | ImageChoices = ImageChoices([*map(typed_choice, choice or ())], detail, pages)
        if ask:
            told = system_messages(system)
            form = read_schema(schema)
            asked = ImageQuestion(typed(ask), told, form, detail, pages, max_tokens, temperature)
        if bool(choice) == bool(ask) or errors is not None or (choice and any(given)):
            raise StartupError("--images takes a question, --ask or --choice, and no --errors")
        tally = run_images(image_files([*images, *(words or ())]), asked, output, place, at_once)
    elif words is None or len(words) != 1 or choice or pages or any(given):
        raise StartupError("Give one FILE.jsonl of requests, or --images FOLDER and --ask QUESTION")
    else:
        tally = run_lines(Path(words[0]), output, errors, place, at_once)
    if tally.failed or tally.failed_before:
        raise typer.Exit(SOME_FAILED)


def _check_folder(output: Path) -> None:
    if not output.absolute().parent.is_dir():
        raise StartupError(f"There is no folder {output.parent} for {output.name}")


def _place(
    url: str | None, config: Path | None, named: Mapping[str, str | None], engine: Sequence[str]
) -> Place:
    """Where the batch is answered. Raises StartupError."""
    flags = {name: value for name, value in named.items() if value is not None}
    if url is None:
        settings = load_settings(config, flags, dict(map(key_value, engine)))
        from phiserve.cli.batch.engine import OwnEngine  # brings all of a server

        return OwnEngine(settings)
    if config or flags or engine:
        raise StartupError("--url names a server that runs: it takes no --config, --model and --engine")
    return RunningServer.at(url)
