"""Which temperature a question gets."""

from pathlib import Path

import pytest

from phiserve.decisions.temperatures import Temperatures
from phiserve.errors import StartupError


def test_by_kind_and_number_of_options() -> None:
    """The nearest number that is there, the smaller of two; 1 for a kind that is not."""
    temperatures = Temperatures({"choice": {2: 1.5, 10: 3.0}, "predicate": {2: 0.5}})
    assert [temperatures.of("choice", number) for number in (2, 5, 6, 7, 26)] == [1.5, 1.5, 1.5, 3.0, 3.0]
    assert temperatures.of("predicate", 2) == 0.5
    assert temperatures.of("score", 3) == 1.0


def test_saved_and_loaded(tmp_path: Path) -> None:
    """The same again; a folder that is not there is said."""
    temperatures = Temperatures({"choice": {2: 1.5, 10: 3.0}, "predicate": {2: 0.5}})
    temperatures.save(tmp_path / "t.json")
    assert Temperatures.load(tmp_path / "t.json") == temperatures
    with pytest.raises(StartupError, match="cannot be written"):
        temperatures.save(tmp_path / "none" / "t.json")
