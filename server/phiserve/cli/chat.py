"""`phiserve chat`: a conversation in the terminal."""

import contextlib
from dataclasses import dataclass, field
from typing import Any

import openai
import typer
from rich.console import Console

from phiserve.cli.answers import PrintedAnswer, print_answer, print_footer
from phiserve.cli.ask import MaxTokens, Model, PictureDetail, System, Temperature, Url
from phiserve.cli.connection import Connection, connected
from phiserve.cli.content import Detail, picture_url, system_messages, user_message
from phiserve.cli.failures import sentence
from phiserve.errors import StartupError

HELP = """/image FILE   show a picture with the next message (a URL works too); may be repeated
/history      the conversation so far
/reset        begin anew
/quit         leave (Ctrl-D does too); Ctrl-C stops an answer"""


@dataclass
class Conversation:
    """What has been said, and the pictures waiting for the next message."""

    system: str | None
    detail: Detail
    messages: list[dict[str, Any]] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)

    def reset(self) -> None:
        """Forget everything but the instructions."""
        self.messages.clear()
        self.pictures.clear()

    def asking(self, text: str) -> list[dict[str, Any]]:
        """All messages up to a question with the waiting pictures."""
        question = user_message(self.pictures, text, self.detail)
        return [*system_messages(self.system), *self.messages, question]

    def answered(self, asked: list[dict[str, Any]], answer: str) -> None:
        """Keep a question and its answer."""
        self.messages += [asked[-1], {"role": "assistant", "content": answer}]
        self.pictures.clear()

    def lines(self) -> list[str]:
        """The conversation for reading."""
        return [f"{message['role']}: {_readable(message['content'])}" for message in self.messages]


def chat(
    url: Url = None,
    model: Model = None,
    system: System = None,
    detail: PictureDetail = Detail.AUTO,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
) -> None:
    """Talk with the model over several turns; /help tells the commands."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - gives input() editing and the up arrow
    console = Console(stderr=True, highlight=False)
    conversation = Conversation(system, detail)
    with connected(url, model, console) as connection:
        console.print(f"[bold]{connection.model}[/]. /help tells the commands.")
        while (line := _read_line(conversation, console)) is not None:
            if line.startswith("/"):
                if not _command(line, conversation, console):
                    return
            elif line:
                _turn(connection, conversation, line, console, max_tokens, temperature)


def _read_line(conversation: Conversation, console: Console) -> str | None:
    """A line from the person; None at its end."""
    waiting = f" [{len(conversation.pictures)} picture{'s'[: len(conversation.pictures) > 1]}]" if conversation.pictures else ""
    while True:
        try:
            return input(f"you{waiting}> ").strip()
        except EOFError:
            return None
        except KeyboardInterrupt:
            console.print("\n(/quit or Ctrl-D to leave)", style="dim")


def _command(line: str, conversation: Conversation, console: Console) -> bool:
    """Carry out a command; False to leave."""
    name, _, argument = line.partition(" ")
    match name:
        case "/quit" | "/exit":
            return False
        case "/image" if argument.strip():
            try:
                conversation.pictures.append(picture_url(argument.strip().strip("'\"")))
            except StartupError as error:
                console.print(str(error), style="red", markup=False)
        case "/history":
            console.print("\n".join(conversation.lines()) or "(nothing yet)", markup=False)
        case "/reset":
            conversation.reset()
        case _:
            console.print(HELP, markup=False)
    return True


def _turn(
    connection: Connection,
    conversation: Conversation,
    text: str,
    console: Console,
    max_tokens: int | None,
    temperature: float | None,
) -> None:
    """Ask and print. A stopped answer is kept as far as it came; a refused question is as if not asked."""
    asked = conversation.asking(text)
    answer = PrintedAnswer()
    try:
        print_answer(connection, asked, answer, max_tokens, temperature)
    except KeyboardInterrupt:
        typer.echo()
        console.print("(stopped)", style="dim")
    except openai.APIConnectionError:
        raise
    except openai.APIError as error:
        typer.echo()
        console.print(sentence(error), style="red", markup=False)
        return
    else:
        print_footer(answer, console)
    if answer.text:
        conversation.answered(asked, answer.text)


def _readable(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part["text"] if part["type"] == "text" else "[picture]" for part in content)
