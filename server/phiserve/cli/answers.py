"""An answer as it comes, on the terminal."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import openai
import typer
from openai.types import CompletionUsage

from phiserve.cli.connection import Connection
from phiserve.cli.streams import showable
from phiserve.errors import StartupError


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
        images = getattr(details, "image_tokens", None)
        prompt = f"{self.usage.prompt_tokens} tokens read" + (f" ({images} in images)" if images else "")
        cut = "; the answer was cut off at its length limit" if self.finish_reason == "length" else ""
        return f"{prompt}, {self.usage.completion_tokens} written{cut}"


def print_answer(
    connection: Connection,
    messages: Sequence[Any],
    answer: PrintedAnswer,
    max_tokens: int | None,
    temperature: float | None,
) -> None:
    """Stream an answer to standard output, piece by piece, and end its line.

    Raises openai.APIError, or StartupError for what is no answer; `answer` has what came before. Leaving
    early, as Ctrl-C does, closes the connection, and with it the request in the engine.
    """
    try:
        with closing(_pieces(connection, messages, answer, max_tokens, temperature)) as pieces:
            for piece in pieces:
                answer.pieces.append(piece)
                typer.echo(showable(piece), nl=False)
    finally:
        if answer.text and not answer.text.endswith("\n"):
            typer.echo()
    if answer.finish_reason is None:
        raise StartupError(
            "The server broke the answer off" if answer.text else "What the server answered is not an answer"
        )


def _pieces(
    connection: Connection,
    messages: Sequence[Any],
    answer: PrintedAnswer,
    max_tokens: int | None,
    temperature: float | None,
) -> Generator[str, None, None]:
    with connection.client.chat.completions.create(
        model=connection.model,
        messages=list(messages),
        stream=True,
        stream_options={"include_usage": True},
        max_completion_tokens=max_tokens if max_tokens is not None else openai.omit,
        temperature=temperature if temperature is not None else openai.omit,
    ) as stream:
        while True:
            try:
                chunk = next(stream)
                answer.usage = chunk.usage or answer.usage
                for choice in chunk.choices:
                    answer.finish_reason = choice.finish_reason or answer.finish_reason
                pieces = [str(choice.delta.content or "") for choice in chunk.choices]
            except StopIteration:
                return
            except (AttributeError, TypeError, ValueError):  # the client takes JSON of any form for a chunk
                raise StartupError("What the server answered is not an answer") from None
            yield from pieces
