"""An answer as it arrives, on the terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import openai
import typer
from openai import Stream
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from phiserve.cli.connection import Connection
from phiserve.cli.content import Message
from phiserve.cli.streams import showable
from phiserve.errors import StartupError

_UNEXPECTED = "The server sent an unexpected response"


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """How answers are to be made; None leaves it to the server."""

    max_tokens: int | None = None
    temperature: float | None = None


@dataclass(slots=True)
class PrintedAnswer:
    """What has been printed so far."""

    deltas: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    usage: CompletionUsage | None = None

    @property
    def text(self) -> str:
        """The answer as far as it has been printed."""
        return "".join(self.deltas)

    def footer(self) -> str:
        """What the answer cost in tokens, and whether it was cut off; empty where the server did not say."""
        if self.usage is None:
            return ""
        details = self.usage.prompt_tokens_details
        images = getattr(details, "image_tokens", None)
        prompt = f"{self.usage.prompt_tokens} tokens read" + (f" ({images} in images)" if images else "")
        cut = "; the answer was cut off at its length limit" if self.finish_reason == "length" else ""
        return f"{prompt}, {self.usage.completion_tokens} written{cut}"

    def add(self, chunk: ChatCompletionChunk) -> str:
        """Take in what the server sent, and return its text, which is to be printed.

        Raises AttributeError, TypeError or ValueError for what is not a chunk: the client takes any JSON for
        one.
        """
        self.usage = chunk.usage or self.usage
        for choice in chunk.choices:
            self.finish_reason = choice.finish_reason or self.finish_reason
        return "".join(str(choice.delta.content or "") for choice in chunk.choices)


def print_answer(
    connection: Connection, messages: Sequence[Message], answer: PrintedAnswer, options: AnswerOptions
) -> None:
    """Stream an answer to standard output as it arrives, and end its line.

    Raises openai.APIError, or StartupError for an unexpected response; `answer` holds what came before.
    Leaving early, as Ctrl-C does, closes the connection, and with it the request in the engine.
    """
    try:
        with _open(connection, messages, options) as stream:
            for delta in _deltas(stream, answer):
                answer.deltas.append(delta)
                typer.echo(showable(delta), nl=False)
    finally:
        if answer.text and not answer.text.endswith("\n"):
            typer.echo()
    if answer.finish_reason is None:
        raise StartupError("The server broke the answer off" if answer.text else _UNEXPECTED)


def _open(
    connection: Connection, messages: Sequence[Message], options: AnswerOptions
) -> Stream[ChatCompletionChunk]:
    max_tokens, temperature = options.max_tokens, options.temperature
    return connection.client.chat.completions.create(
        model=connection.model,
        messages=cast("list[ChatCompletionMessageParam]", list(messages)),
        stream=True,
        stream_options={"include_usage": True},
        max_completion_tokens=max_tokens if max_tokens is not None else openai.omit,
        temperature=temperature if temperature is not None else openai.omit,
    )


def _deltas(stream: Stream[ChatCompletionChunk], answer: PrintedAnswer) -> Iterator[str]:
    while True:
        try:
            delta = answer.add(next(stream))
        except StopIteration:
            return
        except (AttributeError, TypeError, ValueError):
            raise StartupError(_UNEXPECTED) from None
        yield delta
