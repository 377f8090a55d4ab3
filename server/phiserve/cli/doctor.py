"""`phiserve doctor`: checks everything that a server needs, and says what to do."""

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from phiserve.cli.checks import CHECKS, CheckContext, examine

_MARKS = {"fine": ("ok  ", "green"), "note": ("note", "yellow"), "wrong": ("FAIL", "bold red")}


def doctor(
    model: Annotated[
        str | None, typer.Option(help="Folder or hub repository to check; default: the embedded demo model.")
    ] = None,
) -> None:
    """Check versions, device, memory, tokenizer, plugin and one image; exits with 1 if something is wrong."""
    console = Console(highlight=False, soft_wrap=True)
    context = CheckContext(model)
    healthy = True
    for check in CHECKS:
        finding = examine(check, context)
        healthy = healthy and finding.verdict != "wrong"
        mark, style = _MARKS[finding.verdict]
        console.print(Text.assemble((mark, style), f" {check.__name__:<10}{finding.text}"))
        if finding.remedy:
            console.print(Text(f"     {'':<10}-> {finding.remedy}", "dim"))
    if not healthy:
        raise typer.Exit(1)
