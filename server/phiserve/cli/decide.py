"""`phiserve decide`: questions about images, answered with probabilities."""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from openai.types import Decision
from rich.console import Console
from rich.table import Table

from phiserve.cli.ask import ImageDetail, Model, Pages, Url
from phiserve.cli.connection import connected
from phiserve.cli.content import Detail, image_url, input_parts
from phiserve.cli.streams import typed
from phiserve.errors import StartupError

BAR = 30
"""Characters of a bar that stands for certainty."""

Question = dict[str, Any]
"""A question of OpenAI's request."""

_BEHIND_QUESTION = re.compile(r"(?<=\?)\s*=")

Line = tuple[str, float]
"""What a bar is about, and its probability."""


def decide(
    images: Annotated[
        list[str] | None, typer.Argument(metavar="[IMAGE]...", help="Files (images, PDFs) or URLs.")
    ] = None,
    ask: Annotated[
        list[str] | None, typer.Option("--ask", help="A question that is answered with yes or no.")
    ] = None,
    choice: Annotated[
        list[str] | None, typer.Option(help="Which of several, as in 'Which shape?=circle,square,star'.")
    ] = None,
    score: Annotated[
        list[str] | None, typer.Option(help="How far along, from low to high: 'How full?=empty,half,full'.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="Text that the questions are about too.")] = None,
    url: Url = None,
    model: Model = None,
    detail: ImageDetail = Detail.AUTO,
    pages: Pages = None,
) -> None:
    """Decide about images: yes or no, which, how much; each with its probabilities. All with one look.

    Answers stand in this order: to every --ask, then --choice, then --score.
    """
    questions = list(_questions(ask or (), choice or (), score or ()))
    if not questions:
        raise StartupError("Nothing is asked: --ask, --choice or --score takes a question")
    content: list[Any] = [*input_parts(map(image_url, images or ()), detail, pages)]
    if text:
        content.append({"type": "input_text", "text": typed(text)})
    console = Console(stderr=True, highlight=False)
    with connected(url, model, console) as connection:
        decision = connection.client.decisions.create(
            model=connection.model,
            input=[{"type": "message", "role": "user", "content": content}],
            questions=questions,  # type: ignore[arg-type]
        )
        if not isinstance(decision, Decision) or len(decision.answers or ()) != len(questions):
            raise StartupError("The server sent an unexpected response")
        _print(questions, decision)
        console.print(f"{decision.usage.input_tokens} tokens", style="dim")


def _questions(asked: Sequence[str], choices: Sequence[str], scores: Sequence[str]) -> Iterator[Question]:
    """All questions, as OpenAI's clients send them. Raises StartupError for one without its options."""
    for instructions in asked:
        yield {"type": "predicate", "instructions": typed(instructions)}
    yield from map(typed_choice, choices)
    for given in scores:
        instructions, options = _split(given, "--score")
        levels = [{"label": option} for option in options]
        yield {"type": "score", "instructions": instructions, "levels": levels}


def typed_choice(given: str) -> Question:
    """A question of type choice from what is typed, as 'Which?=this,that'. Raises StartupError."""
    instructions, options = _split(given, "--choice")
    return {"type": "choice", "instructions": instructions, "choices": [{"value": one} for one in options]}


def _split(given: str, option: str) -> tuple[str, list[str]]:
    """A question and its options, of which there are two at least. Raises StartupError.

    Where there are several equals signs, the one behind a question mark is between them.
    """
    asked = typed(given)
    parts = asked.split("=") if asked.count("=") < 2 else _BEHIND_QUESTION.split(asked)
    if len(parts) > 2 or (len(parts) < 2 and "=" in asked):
        raise StartupError(f"{option}: one = must follow a question mark, since there are several: {given!r}")
    options = [name.strip() for name in parts[-1].split(",")]
    if len(parts) < 2 or len(options) < 2 or not all(options):
        example = "'Which?=this,that'"
        raise StartupError(f"{option} takes a question and its options, as in {example}; not {given!r}")
    return parts[0].strip(), options


def _print(questions: Sequence[Question], decision: Decision) -> None:
    console = Console(highlight=False, markup=False)
    for question, answer in zip(questions, decision.answers, strict=True):
        console.print(question["instructions"], style="bold")
        match answer.type:
            case "predicate":
                _print_bars([("yes", answer.probability), ("no", 1 - answer.probability)], console)
            case "choice":
                _print_bars([(str(one.value), one.probability) for one in answer.probabilities], console)
            case "score":
                _print_bars([(one.label, one.probability) for one in answer.probabilities], console)
                console.print(f"  {answer.score:.2f} of 0 to {len(answer.probabilities) - 1}")
            case "refusal":
                console.print("  no answer: the model would say something else")


def _print_bars(lines: Sequence[Line], console: Console) -> None:
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 1))
    for name, probability in lines:
        table.add_row(f" {name}", f"{probability:.2f}", "█" * round(probability * BAR))
    console.print(table)
