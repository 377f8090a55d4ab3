"""Folders are written whole or not at all."""

import json
import stat
from pathlib import Path

import pytest

from phiserve.checkpoint.folders import dump_json, phi3v_config, preprocessor_config, write_whole


def fill(folder: Path) -> None:
    (folder / "a").write_text("1")


def test_it_appears_whole(tmp_path: Path) -> None:
    """While it is written it has another name; then it is there, readable for all, and nothing else is."""
    target = tmp_path / "deep" / "x"

    def write(folder: Path) -> None:
        assert folder.parent == target.parent
        assert not target.exists()
        fill(folder)

    write_whole(target, write)
    assert [path.name for path in target.parent.iterdir()] == ["x"]
    assert (target / "a").read_text() == "1"
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing(tmp_path: Path, failure: BaseException) -> None:
    """Not even when it is interrupted."""

    def write(folder: Path) -> None:
        fill(folder)
        raise failure

    with pytest.raises(type(failure)):
        write_whole(tmp_path / "x", write)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there(tmp_path: Path) -> None:
    """An empty folder is replaced; one that holds files is left alone, and nothing is left beside it."""
    (tmp_path / "x").mkdir()
    write_whole(tmp_path / "x", fill)
    (tmp_path / "x" / "a").write_text("mine")
    with pytest.raises(OSError, match="not empty"):
        write_whole(tmp_path / "x", fill)
    assert (tmp_path / "x" / "a").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_configurations(tmp_path: Path, reference: Path) -> None:
    """What config.json says is what the real model's says, anew at each call; max_crops is the
    preprocessor's number of crops.
    """
    phi3v_config(3, hidden_size=1)
    real = json.loads((reference / "config.json").read_text())
    assert phi3v_config() == {key: real[key] for key in phi3v_config()}
    dump_json(tmp_path / "p.json", preprocessor_config(4))
    assert json.loads((tmp_path / "p.json").read_text())["num_crops"] == 4
