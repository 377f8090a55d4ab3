"""`phiserve ask`: one question, one answer."""

from typing import Annotated

import typer
from rich.console import Console

from phiserve.cli.answers import AnswerOptions, PrintedAnswer, print_answer
from phiserve.cli.client import DEFAULT_URL
from phiserve.cli.connection import connected
from phiserve.cli.content import Detail, image_url, split_words, system_messages, user_message

Url = Annotated[
    str | None,
    typer.Option(help=f"Server to ask; default: the one at {DEFAULT_URL}, or one started for this call."),
]
Model = Annotated[
    str | None, typer.Option(help="Checkpoint to start a server with, instead of asking a running one.")
]
System = Annotated[str | None, typer.Option(help="Instructions for the model.")]
MaxTokens = Annotated[int | None, typer.Option(min=1, help="Maximum length of an answer in tokens.")]
Temperature = Annotated[
    float | None,
    typer.Option(min=0, max=2, help="Sampling temperature; 0 always takes the most likely token."),
]
ImageDetail = Annotated[Detail, typer.Option(help="How closely to look at images.")]
Pages = Annotated[
    str | None, typer.Option(metavar="1,3-5", help="Pages of a PDF to look at; default: all of them.")
]


def ask(
    images_and_question: Annotated[
        list[str],
        typer.Argument(
            metavar="[IMAGE]... QUESTION", help="Files (images, PDFs) or URLs, then the question."
        ),
    ],
    url: Url = None,
    model: Model = None,
    system: System = None,
    detail: ImageDetail = Detail.AUTO,
    pages: Pages = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
) -> None:
    """Ask about images, or about anything; the answer streams to standard output."""
    images, question = split_words(images_and_question, "question")
    messages = [*system_messages(system), user_message(map(image_url, images), question, detail, pages)]
    console = Console(stderr=True, highlight=False)
    answer = PrintedAnswer()
    with connected(url, model, console) as connection:
        print_answer(connection, messages, answer, AnswerOptions(max_tokens, temperature))
        console.print(answer.footer(), style="dim")
