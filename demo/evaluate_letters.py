"""Measure decisions through the running server: how often the likeliest option is right, how true its
probability is, and how often another order of the options makes another one the likeliest.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import openai

from demo.exam_letters import Decision, LettersTask
from demo.posting import STREAMS, data_url
from phiserve.decisions.calibration import Example, Quality, quality
from phiserve.decisions.figures import Reading, joined
from phiserve.decisions.questions import Option, Order, Question, orders
from phiserve.decisions.reads import reading_of
from phiserve.decisions.temperatures import Temperatures
from phiserve.errors import StartupError

ORDERS = (1, 2, 4)
"""Over how many orders of the options probabilities are averaged: all that the server knows."""


@dataclass(frozen=True)
class LettersResult:
    """A measured row of `count` questions. `right`: shares whose likeliest option is right, and
    `calibration_error`: how far its probability is from that (ECE), over each number of ORDERS.

    `flips_before`: share of questions whose options in the opposite order have another favourite;
    `flips_after`: share of those with three options or more of which the mean of two other orders has
    another favourite than the mean of the first two; None without any.
    """

    name: str
    goal: float
    seed: str
    count: int
    right: tuple[float, ...]
    calibration_error: tuple[float, ...]
    flips_before: float
    flips_after: float | None
    wrong: list[tuple[str, str, str]]


@dataclass(frozen=True)
class Read:
    """A decision and what each order of its options gave, in its own order of options."""

    decision: Decision
    readings: tuple[Reading, ...]

    def logs(self, first: int, last: int) -> tuple[float, ...]:
        """Logarithms of probabilities: the mean over some orders, as the server has it."""
        return joined(self.readings[first:last])

    def example(self, count: int) -> Example:
        """Of the first orders, as many as there are."""
        return Example(self.decision.question.kind, self.logs(0, count), self.decision.right)

    def favourite(self, first: int, last: int) -> int:
        """The likeliest option."""
        logs = self.logs(first, last)
        return logs.index(max(logs))


async def measure_letters(
    client: openai.AsyncOpenAI, model: str, task: LettersTask, count: int
) -> LettersResult:
    """Have `count` questions decided, several at a time.

    Raises StartupError where the server shows options in more than one order: each is asked for by itself.
    """
    gate = asyncio.Semaphore(STREAMS)

    async def ask(number: int) -> Read:
        decision = task.decision(number)
        async with gate:
            return Read(decision, await read(client, model, decision))

    return result_of(task, await asyncio.gather(*(ask(number) for number in range(count))))


def result_of(task: LettersTask, reads: Sequence[Read]) -> LettersResult:
    """The row of what was read."""
    qualities = [_quality(reads, number) for number in ORDERS]
    several = [one for one in reads if len(one.readings) == max(ORDERS)]
    after = [one.favourite(0, 2) != one.favourite(2, 4) for one in several]
    before = [one.favourite(0, 1) != one.favourite(1, 2) for one in reads]
    return LettersResult(
        task.name,
        task.goal,
        task.seed,
        len(reads),
        tuple(one.accuracy for one in qualities),
        tuple(one.calibration_error for one in qualities),
        sum(before) / len(before),
        sum(after) / len(after) if after else None,
        [_told(one) for one in reads if one.favourite(0, 2) != one.decision.right][:5],
    )


def _quality(reads: Sequence[Read], number: int) -> Quality:
    return quality([one.example(number) for one in reads], Temperatures())


def _told(one: Read) -> tuple[str, str, str]:
    """The question, what is right, and what was decided in two orders."""
    question = one.decision.question
    asked, options = question.instructions[0], question.options
    return str(asked), options[one.decision.right].text, options[one.favourite(0, 2)].text


async def read(client: openai.AsyncOpenAI, model: str, decision: Decision) -> tuple[Reading, ...]:
    """What each order of the options gives: all are questions of one request."""
    every = orders(len(decision.question.options), max(ORDERS))
    decided: Any = await client.decisions.create(
        model=model,
        input=shown(decision),
        questions=[asked(decision.question, order) for order in every],
        extra_body={"return_diagnostics": True},
    )
    readings = []
    for order, answer in zip(every, decided.answers, strict=True):
        if answer.diagnostics["orders"] != 1:
            raise StartupError("Decisions are measured at a server with decision_orders 1")
        logs = [-math.inf if value is None else value for value in answer.diagnostics["logprobs"]]
        readings.append(reading_of(order, logs))
    return tuple(readings)


def shown(decision: Decision) -> Any:
    """What the question is about, as a request's `input`."""
    if isinstance(decision.shown, str):
        return decision.shown
    image = {"type": "input_image", "image_url": data_url(decision.shown)}
    return [{"role": "user", "content": [image]}]


def asked(question: Question, order: Order) -> Any:
    """A question as a request has it. In another order than its own, every question is a choice: prompts do
    not tell of what type a question is.
    """
    (instructions,) = question.instructions
    options = [question.options[index] for index in order]
    is_given = order == tuple(range(len(order)))
    kind = question.kind if is_given else "choice"
    wire: dict[str, Any] = {"type": kind, "instructions": instructions}
    match kind:
        case "choice":
            wire["choices"] = [_option("value", one) for one in options]
        case "score":
            wire["levels"] = [_option("label", one) for one in options]
    return wire


def _option(name: str, option: Option) -> dict[str, str]:
    described = {} if option.description is None else {"description": option.description}
    return {name: option.text, **described}
