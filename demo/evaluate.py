"""Measure the demo model through the running server, and write its model card. `python -m demo.evaluate`."""

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import openai
import typer
from rich.console import Console

from demo.breakage import BROKEN_TASKS
from demo.card import write_card
from demo.evaluate_letters import ORDERS, LettersResult, measure_letters
from demo.evaluate_shop import ShopResult, measure_shop
from demo.exam import TASKS, Task
from demo.exam_letters import LETTERS_TASKS
from demo.exam_shop import SHOP_TASKS
from demo.posting import LONGEST_ANSWER, STREAMS, messages
from phiserve.checkpoint.demo_weights import weights_digest
from phiserve.checkpoint.embedded import DEMO_NAME
from phiserve.cli.connection import connected

RESULTS = Path(__file__).with_name("results.json")
ENOUGH = 200
"""Questions a task from which on a share is worth telling."""


ONE_ORDER = {"PHISERVE_DECISION_ORDERS": "1"}
"""What a server that is started is told: of decisions each order is asked for by itself."""


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
    gate = asyncio.Semaphore(STREAMS)

    async def ask(number: int) -> tuple[str, str, str]:
        question = task.question(number)
        async with gate:
            completion = await client.chat.completions.create(
                model=model, messages=messages(question), temperature=0, max_tokens=LONGEST_ANSWER
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


async def _measure_whole(
    client: openai.AsyncOpenAI, model: str, count: int, console: Console
) -> tuple[list[Result], list[ShopResult], list[LettersResult]]:
    decided = await _measure_letters(client, model, count, console)
    loops = await _measure_shop(client, model, count, console)
    return await _measure_all(client, model, (*TASKS, *BROKEN_TASKS), count, console), loops, decided


async def _measure_shop(
    client: openai.AsyncOpenAI, model: str, count: int, console: Console
) -> list[ShopResult]:
    results = []
    for task in SHOP_TASKS:
        result = await measure_shop(client, model, task, count)
        console.print(
            f"{result.name}: {result.called:.1%} called right, {result.answered:.1%} ended right of {count}"
        )
        for steps in result.wrong[:2]:
            console.print("  " + "\n    ".join(steps), markup=False, highlight=False)
        results.append(result)
    return results


async def _measure_letters(
    client: openai.AsyncOpenAI, model: str, count: int, console: Console
) -> list[LettersResult]:
    results = []
    for task in LETTERS_TASKS:
        result = await measure_letters(client, model, task, count)
        right, error = (
            ", ".join(f"{share:.1%}" for share in shares)
            for shares in (result.right, result.calibration_error)
        )
        console.print(
            f"{result.name}: right {right} of {count} in {ORDERS} orders, ECE {error}, "
            f"{result.flips_before:.1%} flip"
        )
        results.append(result)
    return results


def main(
    count: Annotated[
        int, typer.Option(min=1, help=f"Questions a task; with fewer than {ENOUGH} no card is written.")
    ] = ENOUGH,
    url: Annotated[
        str | None,
        typer.Option(help="A server that serves the demo model with decision_orders 1; else one is started."),
    ] = None,
    model: Annotated[str, typer.Option(help="Checkpoint to start a server with.")] = DEMO_NAME,
) -> None:
    """Measure decisions, loops of calls, every task, then with broken pictures; write demo/results.json and
    the model card for the shipped weights.
    """
    console = Console()
    os.environ.update(ONE_ORDER)
    with connected(url, None if url else model, console) as connection:
        client = openai.AsyncOpenAI(
            base_url=connection.client.base_url, api_key=connection.client.api_key, max_retries=0
        )
        results, loops, decided = asyncio.run(_measure_whole(client, connection.model, count, console))
    if count >= ENOUGH and connection.model == DEMO_NAME:
        content = {
            "weights": weights_digest(),
            "whole": [asdict(result) for result in results[: len(TASKS)]],
            "broken": [asdict(result) for result in results[len(TASKS) :]],
            "tools": [asdict(result) for result in loops],
            "letters": [asdict(result) for result in decided],
        }
        RESULTS.write_text(json.dumps(content, indent=1), encoding="utf-8")
        write_card(RESULTS)


if __name__ == "__main__":
    typer.run(main)
