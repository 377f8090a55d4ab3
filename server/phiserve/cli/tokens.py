"""`phiserve tokens`: the prompt as the model sees it, without a model."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from phiserve.chat.segments import Segment
from phiserve.chat.vocabulary import Vocabulary
from phiserve.checkpoint.embedded import locate
from phiserve.checkpoint.opened import open_checkpoint
from phiserve.cli.ask import ImageDetail, Pages, System
from phiserve.cli.content import Detail, image_url, split_words, system_messages, user_message
from phiserve.cli.failures import reason_of
from phiserve.cli.inspection import Inspected, inspect
from phiserve.errors import StartupError
from phiserve.vision.drawing import draw_crops, to_png
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits

SHOWN_IDS = 16
"""Number of ids shown of a long text."""


def tokens(
    images_and_text: Annotated[
        list[str], typer.Argument(metavar="[IMAGE]... TEXT", help="Images and PDFs, then the text.")
    ],
    model: Annotated[
        str | None, typer.Option(help="Folder or hub repository whose tokenizer to use.")
    ] = None,
    system: System = None,
    detail: ImageDetail = Detail.AUTO,
    pages: Pages = None,
    ids: Annotated[bool, typer.Option("--ids", help="Print the ids alone, as JSON.")] = False,
    draw: Annotated[
        Path | None, typer.Option(help="PNG to draw the crops into; crops.png where there are images.")
    ] = None,
) -> None:
    """Show the prompt as the model sees it: its tokens, what each image costs, and the crops as a drawing."""
    names, text = split_words(images_and_text, "text")
    messages = [*system_messages(system), user_message(map(image_url, names), text, detail, pages)]
    checkpoint = open_checkpoint(locate(model, lambda line: typer.echo(line, err=True)))
    service = ImageService(ImageLimits(), workers=1)
    try:
        inspected = asyncio.run(inspect(checkpoint, service, messages, names))
        if ids:
            typer.echo(json.dumps(inspected.prompt.ids))
            return
        console = Console(highlight=False)
        _print_segments(inspected, Vocabulary.load(checkpoint.tokenizer_json), console)
        if names:
            _print_costs(inspected, console)
            file = draw or _free_name()
            _save(asyncio.run(_drawing(service, inspected)), file)
            console.print(f"crops drawn in {file}", markup=False)
    finally:
        service.close()


def _print_segments(inspected: Inspected, vocabulary: Vocabulary, console: Console) -> None:
    total, text = len(inspected.prompt.ids), inspected.num_text_tokens
    count = len(inspected.prompt.images)
    console.print(
        f"{total} tokens: {text} of text, {total - text} of {count} image{'s' if count != 1 else ''}"
    )
    table = Table("at", "tokens", "what", "ids", box=None, pad_edge=False)
    number = 0
    for segment in inspected.segments(vocabulary):
        number += segment.kind == "image"
        table.add_row(
            str(segment.offset), str(len(segment.token_ids)), _plain(_what(segment, number)), _shown(segment)
        )
    console.print(table)


def _what(segment: Segment, number: int) -> str:
    match segment.kind:
        case "image":
            return f"image {number}"
        case "text":
            return json.dumps(segment.text, ensure_ascii=False)
        case "control":
            return segment.text


def _shown(segment: Segment) -> str:
    if segment.kind == "image":
        return f"{segment.token_ids[0]} each"
    more = " …" if len(segment.token_ids) > SHOWN_IDS else ""
    return " ".join(map(str, segment.token_ids[:SHOWN_IDS])) + more


def _print_costs(inspected: Inspected, console: Console) -> None:
    """Print what each image costs, and what it would cost if all had the same `detail`."""
    table = Table(Column("image", overflow="fold"), box=None, pad_edge=False)
    for heading in ("size", "resized", "crops", "tokens", *(detail.value for detail in Detail)):
        table.add_column(heading, no_wrap=True)
    choices = [inspected.under(detail.value) for detail in Detail]
    for number, image in enumerate(inspected.prompt.images):
        page = "" if image.encoded.page is None else f" page {image.encoded.page + 1}"
        table.add_row(
            f"{number + 1} {_plain(Path(image.encoded.param).name)}{page}",
            _size(image.encoded.size),
            _size(image.plan.resized),
            f"{image.plan.columns} x {image.plan.rows}",
            str(image.plan.num_tokens),
            *(str(plans[number].num_tokens) for plans in choices),
        )
    console.print(table)


async def _drawing(service: ImageService, inspected: Inspected) -> bytes:
    return to_png(
        [
            draw_crops(await service.crops(image.encoded, image.plan), image.plan)
            for image in inspected.prompt.images
        ]
    )


def _save(drawing: bytes, file: Path) -> None:
    try:
        file.write_bytes(drawing)
    except OSError as error:
        raise StartupError(f"The drawing cannot be written to {file}: {reason_of(error)}") from None


def _free_name() -> Path:
    """crops.png, or the next name that no file has."""
    names = (Path("crops.png" if number == 1 else f"crops-{number}.png") for number in range(1, 10_000))
    return next(name for name in names if not name.exists())


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _plain(text: str) -> str:
    """Text with its brackets escaped, so that rich prints it as it is."""
    return text.replace("[", r"\[")
