"""`phiserve chat`: a conversation in the terminal."""

import contextlib
import sys
from dataclasses import dataclass, field

import openai
from rich.console import Console

from phiserve.cli.answers import AnswerOptions, PrintedAnswer, print_answer
from phiserve.cli.ask import ImageDetail, MaxTokens, Model, System, Temperature, Url
from phiserve.cli.connection import Connection, connected
from phiserve.cli.content import Detail, Message, image_url, system_messages, user_message
from phiserve.cli.failures import sentence
from phiserve.cli.streams import typed
from phiserve.errors import StartupError

HELP = """/image FILE   show an image with the next message (a URL works too); may be repeated
/history      the conversation so far
/reset        begin anew
/quit         leave (Ctrl-D does too); Ctrl-C stops an answer"""


@dataclass(slots=True)
class Conversation:
    """The messages so far, and the images waiting for the next one."""

    system: str | None
    detail: Detail
    messages: list[Message] = field(default_factory=list)
    images: list[str] = field(default_factory=list)

    def reset(self) -> None:
        """Forget everything but the instructions."""
        self.messages.clear()
        self.images.clear()

    def asking(self, text: str) -> list[Message]:
        """All messages so far, and a question with the waiting images."""
        question = user_message(self.images, text, self.detail)
        return [*system_messages(self.system), *self.messages, question]

    def answered(self, asked: list[Message], answer: str) -> None:
        """Keep a question and its answer; its images wait no longer."""
        self.messages += [asked[-1], {"role": "assistant", "content": answer}]
        self.images.clear()

    def refused(self) -> bool:
        """Drop the waiting images, since they may be at fault. Returns whether there were any."""
        waited = bool(self.images)
        self.images.clear()
        return waited

    def lines(self) -> list[str]:
        """The conversation for people to read, one line for each message."""
        return [f"{message['role']}: {_readable(message['content'])}" for message in self.messages]


def chat(
    url: Url = None,
    model: Model = None,
    system: System = None,
    detail: ImageDetail = Detail.AUTO,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
) -> None:
    """Talk with the model over several turns; /help tells the commands."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - gives input() editing and the up arrow
    console = Console(stderr=True, highlight=False)
    conversation, options = Conversation(system, detail), AnswerOptions(max_tokens, temperature)
    with connected(url, model, console) as connection:
        console.print(f"[bold]{connection.model}[/]. /help tells the commands.")
        while (line := _read_line(_prompt(conversation), console)) is not None:
            try:
                if line.startswith("/"):
                    if not _command(line, conversation, console):
                        return
                elif line:
                    _turn(connection, conversation, line, console, options)
            except KeyboardInterrupt:
                console.print("(stopped)", style="dim")


def _prompt(conversation: Conversation) -> str:
    count = len(conversation.images)
    if not count:
        return "you> "
    return f"you [{count} image{'s' if count > 1 else ''}]> "


def _read_line(prompt: str, console: Console) -> str | None:
    """Read a line; None at the end of input.

    Prompts only a person at a terminal, on stderr where stdout is redirected, which carries answers only.
    """
    person = sys.stdin is not None and sys.stdin.isatty()
    terminal = person and sys.stdout.isatty()
    while True:
        try:
            if person and not terminal:
                console.print(prompt, end="", markup=False)
            return typed(input(prompt if terminal else "").strip(), sys.stdin.encoding)
        except (EOFError, RuntimeError):  # the latter where there is no standard input at all
            if person:
                console.print()
            return None
        except KeyboardInterrupt:
            console.print("\n(/quit or Ctrl-D to leave)", style="dim")
        except StartupError as error:
            console.print(str(error), style="red", markup=False)


def _command(line: str, conversation: Conversation, console: Console) -> bool:
    """Carry out a command. Returns False for the command to leave."""
    name, _, argument = line.partition(" ")
    match name:
        case "/quit" | "/exit":
            return False
        case "/image" if argument.strip():
            try:
                conversation.images.append(image_url(argument.strip().strip("'\"")))
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
    options: AnswerOptions,
) -> None:
    """Ask a question and print its answer.

    A stopped answer is kept as far as it came. A question that fails is left out of the conversation, and its
    images are dropped unless the server answered with status 429 or 5xx. Raises openai.APIConnectionError.
    """
    asked = conversation.asking(text)
    answer = PrintedAnswer()
    try:
        print_answer(connection, asked, answer, options)
    except KeyboardInterrupt:
        console.print("(stopped)", style="dim")
    except openai.APIConnectionError:
        raise
    except (openai.APIError, StartupError) as error:
        console.print(sentence(error), style="red", markup=False)
        busy = isinstance(error, openai.RateLimitError | openai.InternalServerError)
        if not busy and conversation.refused():
            console.print("(the images are put away; /image shows one again)", style="dim")
        return
    else:
        console.print(answer.footer(), style="dim")
    if answer.text:
        conversation.answered(asked, answer.text)


def _readable(content: object) -> str:
    """A message's text, with a sign for each image."""
    if not isinstance(content, list):
        return str(content)
    return " ".join(part["text"] if part["type"] == "text" else "[image]" for part in content)
