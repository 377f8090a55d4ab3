"""Tables and plots of how good probabilities are."""

import io
import math
import sys
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from phiserve.cli.reliability import Compared, check_plot, plot, table_of
from phiserve.decisions.calibration import Example
from phiserve.decisions.questions import Kind
from phiserve.errors import StartupError


def example(kind: Kind, probability: float, answer: int = 0) -> Example:
    return Example(kind, (math.log(probability), math.log(1 - probability)), answer)


BEFORE = [example("predicate", 0.9), example("predicate", 0.9, 1), example("score", 0.8)]
AFTER = [example("predicate", 0.5), example("predicate", 0.5, 1), example("score", 0.99)]


def test_a_row_for_each_kind() -> None:
    """That is there, and one for all."""
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(table_of(Compared(BEFORE, AFTER)))
    rows = [line.split() for line in console.export_text().splitlines()[1:]]
    assert rows == [
        ["predicate", "2", "0.500", "0.400", "0.000", "0.820", "0.500"],
        ["score", "1", "1.000", "0.200", "0.010", "0.080", "0.000"],
        ["all", "3", "0.667", "0.333", "0.003", "0.573", "0.333"],
    ]


def test_a_plot(tmp_path: Path) -> None:
    """An image with both panels, which differ."""
    file = tmp_path / "reliability.png"
    check_plot(file)
    plot(Compared(BEFORE, AFTER), file)
    with Image.open(file) as image:
        assert image.format == "PNG"
        left, right = (image.crop((x, 80, x + 400, 400)).convert("L") for x in (120, 620))
    assert len(set(left.tobytes())) > 2
    assert left.tobytes() != right.tobytes()


def test_what_cannot_be_plotted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is said before anything is asked."""
    with pytest.raises(StartupError, match=r"must end in \.png"):
        check_plot(tmp_path / "a.jpg")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(StartupError, match=r"pip install 'phiserve\[plots\]'"):
        check_plot(tmp_path / "a.png")
