"""How good probabilities are before and after calibration, for a person: a table, and a plot."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from rich.table import Table

from phiserve.decisions.calibration import Example, Quality, quality
from phiserve.decisions.questions import Kind
from phiserve.decisions.temperatures import Temperatures
from phiserve.errors import StartupError

NONE = Temperatures()
"""Of examples whose probabilities are taken as they are."""

SMALLEST_POINT, LARGEST_POINT = 20.0, 400.0
"""Areas in square points."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The same examples with the probabilities as they were, and as they are after calibration."""

    before: Sequence[Example]
    after: Sequence[Example]


def table_of(compared: Compared) -> Table:
    """A row for each kind of question that is there, and one for all."""
    table = Table("", "questions", "accuracy", box=None, pad_edge=False)
    for name in ("ECE before", "after", "Brier before", "after"):
        table.add_column(name, justify="right")
    every: tuple[Kind, ...] = get_args(Kind)
    rows: list[tuple[str, Sequence[Kind]]] = [*((kind, [kind]) for kind in every), ("all", every)]
    for name, kinds in rows:
        before, after = (_of_kinds(examples, kinds) for examples in (compared.before, compared.after))
        if before:
            table.add_row(name, *_cells(quality(before, NONE), quality(after, NONE)))
    return table


def check_plot(file: Path) -> None:
    """Raises StartupError where no plot could be drawn."""
    if file.suffix.lower() != ".png":
        raise StartupError(f"The plot is a PNG: {file.name!r} must end in .png")
    try:
        import matplotlib  # noqa: F401 - comes with an extra
    except ImportError:
        raise StartupError("A plot needs matplotlib: pip install 'phiserve[plots]'") from None


def plot(compared: Compared, file: Path) -> None:
    """Draw how often the likeliest option is right against its probability, before and after.

    The diagonal is what perfect probabilities would show; a point's area tells how many questions it is of.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, name, examples in zip(
        panels, ("before", "after"), (compared.before, compared.after), strict=True
    ):
        found = quality(examples, NONE)
        largest = max(one.count for one in found.bins)
        areas = [max(SMALLEST_POINT, LARGEST_POINT * one.count / largest) for one in found.bins]
        probabilities = [one.probability for one in found.bins]
        accuracies = [one.accuracy for one in found.bins]
        panel.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
        panel.plot(probabilities, accuracies, color="tab:blue", linewidth=1)
        panel.scatter(probabilities, accuracies, s=areas, color="tab:blue", alpha=0.6)
        panel.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="probability of the likeliest option")
        panel.set_title(f"{name}: ECE {found.calibration_error:.3f}, Brier {found.brier:.3f}")
    panels[0].set_ylabel("how often it is right")
    figure.savefig(file, dpi=120)


def _of_kinds(examples: Sequence[Example], kinds: Sequence[Kind]) -> list[Example]:
    return [example for example in examples if example.kind in kinds]


def _cells(before: Quality, after: Quality) -> list[str]:
    figures = (before.calibration_error, after.calibration_error, before.brier, after.brier)
    return [str(before.count), f"{before.accuracy:.3f}", *(f"{value:.3f}" for value in figures)]
