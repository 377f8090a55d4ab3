"""`phiserve decisions calibrate`: temperatures from examples whose right answers are known."""

import math
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import openai
import typer
from msgspec import UNSET
from rich.console import Console
from rich.progress import track

from phiserve.cli.ask import Model, Url
from phiserve.cli.connection import Connection, connected
from phiserve.cli.failures import sentence
from phiserve.cli.labelled import Labelled, read_labelled
from phiserve.cli.reliability import Compared, check_plot, plot, table_of
from phiserve.decisions.calibration import FEWEST_EXAMPLES, LEAST_EXAMPLES, Example, fit
from phiserve.decisions.questions import Kind
from phiserve.decisions.temperatures import TEMPERATURES_FILE, Temperatures
from phiserve.errors import StartupError
from phiserve.protocol.decisions.response import Answer, Decision

app = typer.Typer(no_args_is_help=True, help="Make the probabilities of decisions true.")

PARTS = 5
"""Of the requests, each judged by the others: what four fifths teach is nearly what all do."""

RETRIES = 4
"""Of a request that the server has no room for just now."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One question that was asked: its example, without the temperature that the server has now."""

    example: Example
    temperature: float

    def at(self, temperature: float) -> Example:
        """The example as it is at a temperature."""
        logs = tuple(value / temperature for value in self.example.logs)
        return Example(self.example.kind, logs, self.example.answer)

    def calibrated(self, temperatures: Temperatures) -> Example:
        """The example as it would be answered with these."""
        return self.at(temperatures.of(self.example.kind, len(self.example.logs)))


@app.command()
def calibrate(
    examples: Annotated[
        Path, typer.Argument(metavar="EXAMPLES.jsonl", help="Requests, each with its right `answers`.")
    ],
    url: Url = None,
    model: Model = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File for the setting decision_temperatures.")
    ] = Path(TEMPERATURES_FILE),
    plot_file: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE.png", help="Draw how reliable probabilities are.")
    ] = None,
    at_once: Annotated[int, typer.Option(min=1, max=64, help="Requests under way at once.")] = 4,
) -> None:
    """Fit temperatures to questions about your own images, and show what they mend.

    Each line of the file is the body of a request with `answers`, the right option of each of its questions:
    true or false, a choice's value, a level's label or number. Images are data URLs, or files beside it.
    """
    for file in (output, *([] if plot_file is None else [plot_file])):
        if not file.absolute().parent.is_dir():
            raise StartupError(f"There is no folder {file.parent} for {file.name}")
    if plot_file is not None:
        check_plot(plot_file)
    written = Temperatures.load(output) if output.exists() else Temperatures()
    labelled = read_labelled(examples)
    if len(labelled) < 2:
        raise StartupError(f"{examples} needs two lines at least: one judges what the other has taught")
    console = Console(stderr=True, highlight=False)
    with connected(url, model, console) as connection:
        answered = _asked(labelled, connection, at_once, console)
    kept = in_force(answered).replaced_by(written)
    compared = judged(answered, kept)
    Console(highlight=False).print(table_of(compared))
    fitted = fit([one.example for each in answered for one in each])
    if fitted.by_kind:
        kept.replaced_by(fitted).save(output)
    _tell(fitted, kept, answered, output, console)
    if plot_file is not None:
        plot(compared, plot_file)


def in_force(answered: Sequence[Sequence[Answered]]) -> Temperatures:
    """The server's own, as its answers tell: of kinds for which it has any."""
    by_kind: dict[Kind, dict[int, float]] = {}
    for one in (one for each in answered for one in each):
        by_kind.setdefault(one.example.kind, {})[len(one.example.logs)] = one.temperature
    return Temperatures({kind: found for kind, found in by_kind.items() if {*found.values()} != {1.0}})


def judged(answered: Sequence[Sequence[Answered]], kept: Temperatures) -> Compared:
    """How good the answers to all requests are now, and with temperatures that did not see them.

    Each part of the requests is judged by temperatures that are fitted to the others, of the same kinds and
    numbers of options as those fitted to all; what has none by `kept`. A request's questions, which share
    images, stay together.
    """
    places = np.random.default_rng(0).permutation(len(answered))
    whole = [one.example for each in answered for one in each]
    before: list[Example] = []
    after: list[Example] = []
    for part in np.array_split(places, min(PARTS, len(answered))):
        others = np.setdiff1d(places, part)
        fitted = fit([one.example for place in others for one in answered[place]], whole)
        temperatures = kept.replaced_by(fitted)
        for one in (one for place in part for one in answered[place]):
            before.append(one.at(one.temperature))
            after.append(one.calibrated(temperatures))
    return Compared(before, after)


def _asked(
    labelled: Sequence[Labelled], connection: Connection, at_once: int, console: Console
) -> list[list[Answered]]:
    """What the server answers to each. Raises StartupError at the first failure, with the line's number."""
    with ThreadPoolExecutor(at_once) as threads:
        under_way = threads.map(lambda one: _ask(one, connection), labelled)
        try:
            return list(track(under_way, "Asking", len(labelled), console=console, transient=True))
        finally:
            threads.shutdown(cancel_futures=True)


def _ask(labelled: Labelled, connection: Connection) -> list[Answered]:
    """One request. Raises StartupError."""
    body = labelled.sent(connection.model) | {"return_diagnostics": True}
    client = connection.client.with_options(max_retries=RETRIES)
    try:
        response = client.post("/decisions", cast_to=str, body=body)
    except openai.APIError as error:
        raise StartupError(f"{labelled.place}: {sentence(error)}") from None
    try:
        answers = msgspec.json.decode(response, type=Decision).answers
        return [
            Answered(Example(question.type, logs, right), temperature)
            for question, right, (logs, temperature) in zip(
                labelled.questions, labelled.right, map(_logs, answers), strict=True
            )
        ]
    except ValueError:  # what msgspec raises is one too
        raise StartupError(f"{labelled.place}: the server sent an unexpected response") from None


def _logs(answer: Answer) -> tuple[tuple[float, ...], float]:
    """Logarithms of an answer's probabilities before its temperature, and that. Raises ValueError."""
    diagnostics = answer.diagnostics
    if diagnostics is UNSET:
        raise ValueError("No diagnostics")
    logs = (-math.inf if value is None else value for value in diagnostics.logprobs)
    return tuple(logs), diagnostics.temperature


def _tell(
    fitted: Temperatures,
    kept: Temperatures,
    answered: Sequence[Sequence[Answered]],
    output: Path,
    console: Console,
) -> None:
    """What has been written, what the table is of, and how much to believe it."""
    parts = min(PARTS, len(answered))
    console.print(f"Each of {parts} parts of the lines is judged by what the others teach.", style="dim")
    counts = Counter(one.example.kind for each in answered for one in each)
    for kind, count in sorted(counts.items()):
        if count < LEAST_EXAMPLES:
            few = f"Only {count} questions of kind {kind}: {LEAST_EXAMPLES} or more make a temperature sure"
            without = "" if kind in fitted.by_kind else f", from fewer than {FEWEST_EXAMPLES} none is fitted"
            console.print(f"{few}{without}.", style="yellow")
    if not fitted.by_kind:
        console.print(f"No temperature is fitted: {output} is not written.", markup=False)
        return
    console.print(f"{output}, fitted to all: {_text(fitted)}", markup=False)
    others = Temperatures({kind: kept.by_kind[kind] for kind in kept.by_kind.keys() - fitted.by_kind.keys()})
    if others.by_kind:
        console.print(f"As they were: {_text(others)}", markup=False)


def _text(temperatures: Temperatures) -> str:
    return "; ".join(
        f"{kind} " + ", ".join(f"{value:g} for {number} options" for number, value in by_number.items())
        for kind, by_number in sorted(temperatures.by_kind.items())
    )
