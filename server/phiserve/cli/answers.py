"""An answer as it comes, on the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import openai
import typer
from openai.types import CompletionUsage
from rich.console import Console

from phiserve.cli.connection import Connection


@dataclass
class PrintedAnswer:
    """What has been printed so far."""

    pieces: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    usage: CompletionUsage | None = None

    @property
    def text(self) -> str:
        """The answer."""
        return "".join(self.pieces)

    def footer(self) -> str:
        """Costs, and why the answer ended if that needs saying."""
        if self.usage is None:
            return ""
        details = self.usage.prompt_tokens_details
        pictures = getattr(details, "image_tokens", None)
        prompt = f"{self.usage.prompt_tokens} tokens read" + (f" ({pictures} in pictures)" if pictures else "")
        cut = "; the answer was cut off at its length limit" if self.finish_reason == "length" else ""
        return f"{prompt}, {self.usage.completion_tokens} written{cut}"


def print_answer(
    connection: Connection, messages: Sequence[Any], answer: PrintedAnswer, max_tokens: int | None, temperature: float | None
) -> None:
    """Stream an answer to standard output, piece by piece. Raises openai.APIError; `answer` has what came before.

    Leaving early, as Ctrl-C does, closes the connection, and with it the request in the engine.
    """
    with connection.client.chat.completions.create(
        model=connection.model,
        messages=list(messages),
        stream=True,
        stream_options={"include_usage": True},
        max_completion_tokens=max_tokens if max_tokens is not None else openai.omit,
        temperature=temperature if temperature is not None else openai.omit,
    ) as stream:
        for chunk in stream:
            answer.usage = chunk.usage or answer.usage
            for choice in chunk.choices:
                answer.finish_reason = choice.finish_reason or answer.finish_reason
                piece = choice.delta.content or ""
                answer.pieces.append(piece)
                typer.echo(piece, nl=False)


def print_footer(answer: PrintedAnswer, console: Console) -> None:
    """End the line, and say what it cost."""
    if not answer.text.endswith("\n"):
        typer.echo()
    console.print(answer.footer(), style="dim")
