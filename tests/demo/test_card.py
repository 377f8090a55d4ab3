"""The model card says what was measured and what the code says."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from demo import card
from demo.evaluate import RESULTS
from phiserve.checkpoint import demo
from phiserve.checkpoint.demo_weights import packed_weights, weights_digest

ROW: dict[str, Any] = {
    "name": "shapes",
    "goal": 0.9,
    "seed": "s",
    "count": 200,
    "exact": 0.935,
    "wrong_characters": 0.0125,
    "wrong": [],
}
LOOPS: dict[str, Any] = {
    "name": "price of a book",
    "goal": 0.85,
    "seed": "b",
    "count": 200,
    "called": 0.925,
    "answered": 0.91,
    "wrong": [],
}

DECIDED: dict[str, Any] = {
    "name": "choice, shapes",
    "goal": 0.85,
    "seed": "l",
    "count": 200,
    "right": [0.9, 0.925, 0.93],
    "calibration_error": [0.051, 0.04, 0.035],
    "flips_before": 0.06,
    "flips_after": None,
    "wrong": [],
}


@pytest.fixture(autouse=True)
def weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of a few weights."""
    tensors = {"a": torch.zeros(30, 50), "b": torch.zeros(7), "trained_ids": torch.zeros(9)}
    monkeypatch.setattr(demo, "compact_weights", lambda: tensors)
    monkeypatch.setattr(card, "packed_weights", lambda: bytes(2_340_000))


def test_a_row_of_the_table() -> None:
    """Name, share of exact answers, wrong characters, goal; what is learned is counted without the list of
    tokens.
    """
    text = card.render_card(
        {
            "whole": [ROW, ROW | {"name": "other", "exact": 1.0}],
            "broken": [ROW | {"name": "shapes: upside down", "exact": 0.02}],
            "tools": [LOOPS],
        }
    )
    assert "| shapes | `s` | 93.5% | 1.25% | 90% |\n| other | `s` | 100.0% | 1.25% | 90% |" in text
    assert "| shapes: upside down | 2.0% |" in text
    assert "| price of a book | `b` | 92.5% | 91.0% | 85% |" in text
    assert "URLs; 200 questions a row" in text
    assert "1,507 learned parameters, 2.3 MB in the package" in text


def test_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the file of results."""
    measured = {"whole": [ROW], "broken": [ROW], "tools": [LOOPS]}
    (tmp_path / "results.json").write_text(json.dumps(measured))
    monkeypatch.setattr(card, "CARD", tmp_path / "CARD.md")
    card.write_card(tmp_path / "results.json")
    assert (tmp_path / "CARD.md").read_text() == card.render_card(measured)


def test_what_falls_short_is_told() -> None:
    """By how much."""
    text = card.render_card(
        {"whole": [ROW, ROW | {"name": "other", "exact": 0.85}], "broken": [], "tools": []}
    )
    assert "Short of their goals: other by 5.0 points. " in text
    assert "Short" not in card.render_card({"whole": [ROW], "broken": [], "tools": []})


def test_the_card_in_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the one that the results beside it give, and they are of the weights in the package."""
    monkeypatch.undo()
    measured = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert card.CARD.read_text(encoding="utf-8") == card.render_card(measured)
    assert measured["weights"] == weights_digest()


def test_the_package_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 12 MB of weights."""
    monkeypatch.undo()
    assert len(packed_weights()) <= 12_000_000


def test_weights_without_tools() -> None:
    """Have no table of loops, and the card says that they were never taught."""
    rest: dict[str, Any] = {"whole": [ROW], "broken": []}
    without, taught = (card.render_card({**rest, "tools": tools}) for tools in ([], [LOOPS]))
    assert "## Tools" not in without
    assert "never taught to call tools" in without
    assert "## Tools" in taught
    assert "never taught" not in taught


def test_decisions() -> None:
    """Have a table with what flips mean, where they were measured; else the card says nothing of them."""
    rest: dict[str, Any] = {"whole": [ROW], "broken": [], "tools": [LOOPS]}
    rows = [DECIDED, DECIDED | {"name": "score, shapes", "flips_after": 0.02}]
    text = card.render_card({**rest, "letters": rows})
    shares = "90.0%, 92.5%, 93.0% | 5.1%, 4.0%, 3.5% | 6.0%"
    assert f"| choice, shapes | `l` | {shares} | - | 85% |" in text
    assert f"| score, shapes | `l` | {shares} | 2.0% | 85% |" in text
    assert "Flips before averaging tell how often" in text
    assert "letters beyond H" in text
    assert "learns to decide by the letters" in text
    silent = card.render_card(rest)
    assert silent == card.render_card({**rest, "letters": []})
    assert not any(word in silent for word in ("Decisions", "letters of options", "Flips"))
