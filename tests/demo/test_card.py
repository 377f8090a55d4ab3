"""The model card says what was measured and what the code says."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from demo import card
from demo.evaluate import RESULTS
from phiserve.checkpoint import demo

ROW: dict[str, Any] = {"name": "shapes", "goal": 0.9, "count": 200, "exact": 0.935, "wrong_characters": 0.0125, "wrong": []}


@pytest.fixture(autouse=True)
def weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A package of a few weights."""
    tensors = {"a": torch.zeros(30, 50), "b": torch.zeros(7), "trained_ids": torch.zeros(9)}
    monkeypatch.setattr(demo, "compact_weights", lambda: tensors)
    monkeypatch.setattr(demo, "__file__", str(tmp_path / "demo.py"))
    (tmp_path / demo.WEIGHTS_FILE).write_bytes(bytes(2_340_000))


def test_a_row_of_the_table() -> None:
    """Name, share of exact answers, wrong characters, goal; what is learned is counted without the list of tokens."""
    text = card.render_card(
        {"whole": [ROW, ROW | {"name": "other", "exact": 1.0}], "broken": [ROW | {"name": "shapes: upside down", "exact": 0.02}]}
    )
    assert "| shapes | 93.5% | 1.25% | 90% |\n| other | 100.0% | 1.25% | 90% |" in text
    assert "| shapes: upside down | 2.0% |" in text
    assert "URLs; 200 questions a row" in text
    assert "1,507 learned parameters, 2.3 MB in the package" in text


def test_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the file of results."""
    measured = {"whole": [ROW], "broken": [ROW]}
    (tmp_path / "results.json").write_text(json.dumps(measured))
    monkeypatch.setattr(card, "CARD", tmp_path / "CARD.md")
    card.write_card(tmp_path / "results.json")
    assert (tmp_path / "CARD.md").read_text() == card.render_card(measured)


def test_the_card_in_the_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the one that the results beside it give."""
    if not RESULTS.exists():
        pytest.skip("the demo model is still in training: nothing is measured yet")
    monkeypatch.undo()
    assert card.CARD.read_text(encoding="utf-8") == card.render_card(json.loads(RESULTS.read_text(encoding="utf-8")))
