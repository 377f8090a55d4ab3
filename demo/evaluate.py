"""Measure the demo model through the running server, and write its model card. `python -m demo.evaluate`."""

import asyncio
import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import openai
import typer
from PIL import Image
from rich.console import Console

from demo.breakage import BROKEN_TASKS
from demo.card import write_card
from demo.exam import TASKS, Question, Task
from phiserve.checkpoint.demo_weights import weights_digest
from phiserve.checkpoint.embedded import DEMO_NAME
from phiserve.cli.connection import connected

RESULTS = Path(__file__).with_name("results.json")
ENOUGH = 200
"""Questions a task from which on a share is worth telling."""

_STREAMS = 8
_LONGEST_ANSWER = 160


@dataclass(frozen=True)
class Result:
    """A measured row: share of exact answers and of wrong characters among `count` questions, and some that
    went wrong.
    """

    name: str
    goal: float
    seed: str
    count: int
    exact: float
    wrong_characters: float
    wrong: list[tuple[str, str, str]]


def messages(question: Question, *, question_first: bool = False) -> list[Any]:
    """The question as OpenAI messages with PNGs as data URLs."""
    turns: list[Any] = []
    asked = [*(earlier for earlier, _ in question.earlier), question.question]
    parts: list[Any] = [
        {"type": "image_url", "image_url": {"url": data_url(picture)}} for picture in question.pictures
    ]
    text = {"type": "text", "text": asked[0]}
    turns.append({"role": "user", "content": [text, *parts] if question_first else [*parts, text]})
    for (_, answer), following in zip(question.earlier, asked[1:], strict=True):
        turns += [{"role": "assistant", "content": answer}, {"role": "user", "content": following}]
    return turns


def data_url(picture: Image.Image, kind: str = "PNG", **options: Any) -> str:
    """A picture as a data: URL."""
    file = BytesIO()
    picture.save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def distance(left: str, right: str) -> int:
    """Edit distance in characters."""
    row = list(range(len(right) + 1))
    for number, character in enumerate(left, 1):
        previous, row[0] = row[0], number
        for column, other in enumerate(right, 1):
            previous, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, previous + (character != other)),
            )
    return row[-1]


async def measure(client: openai.AsyncOpenAI, model: str, task: Task, count: int) -> Result:
    """Ask `count` questions, several at a time, greedily."""
    gate = asyncio.Semaphore(_STREAMS)

    async def ask(number: int) -> tuple[str, str, str]:
        question = task.question(number)
        async with gate:
            completion = await client.chat.completions.create(
                model=model, messages=messages(question), temperature=0, max_tokens=_LONGEST_ANSWER
            )
        return question.question, question.answer, completion.choices[0].message.content or ""

    answers = await asyncio.gather(*(ask(number) for number in range(count)))
    wrong = [answer for answer in answers if answer[1] != answer[2]]
    characters = sum(len(expected) for _, expected, _ in answers)
    errors = sum(distance(expected, given) for _, expected, given in answers)
    return Result(
        task.name, task.goal, task.seed, count, 1 - len(wrong) / count, errors / characters, wrong[:5]
    )


async def _measure_all(
    client: openai.AsyncOpenAI, model: str, tasks: Sequence[Task], count: int, console: Console
) -> list[Result]:
    results = []
    for task in tasks:
        result = await measure(client, model, task, count)
        console.print(
            f"{result.name}: {result.exact:.1%} exact of {count}, "
            f"{result.wrong_characters:.2%} of characters wrong"
        )
        for question, expected, given in result.wrong[:2]:
            console.print(f"  {question}\n    {expected}\n    {given}", markup=False, highlight=False)
        results.append(result)
    return results


def main(
    count: Annotated[
        int, typer.Option(min=1, help=f"Questions a task; with fewer than {ENOUGH} no card is written.")
    ] = ENOUGH,
    url: Annotated[
        str | None, typer.Option(help="A server that serves the demo model; else one is started.")
    ] = None,
    model: Annotated[str, typer.Option(help="Checkpoint to start a server with.")] = DEMO_NAME,
) -> None:
    """Measure every task, then with broken pictures; write demo/results.json and the model card for the
    shipped weights.
    """
    console = Console()
    with connected(url, None if url else model, console) as connection:
        client = openai.AsyncOpenAI(
            base_url=connection.client.base_url, api_key=connection.client.api_key, max_retries=0
        )
        results = asyncio.run(_measure_all(client, connection.model, (*TASKS, *BROKEN_TASKS), count, console))
    if count >= ENOUGH and connection.model == DEMO_NAME:
        content = {
            "weights": weights_digest(),
            "whole": [asdict(result) for result in results[: len(TASKS)]],
            "broken": [asdict(result) for result in results[len(TASKS) :]],
        }
        RESULTS.write_text(json.dumps(content, indent=1), encoding="utf-8")
        write_card(RESULTS)


if __name__ == "__main__":
    typer.run(main)
