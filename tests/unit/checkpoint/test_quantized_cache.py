"""A quantized checkpoint is made once in the user's cache, and anew when it or its source has changed."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from phiserve.checkpoint import quantized_cache
from phiserve.checkpoint.opened import Checkpoint, open_checkpoint
from phiserve.checkpoint.quantization import Quantization, Scheme
from phiserve.checkpoint.quantized_cache import local_source, quantized_checkpoint
from phiserve.errors import StartupError

INT8 = Quantization(Scheme.INT8)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "phiserve"


@pytest.fixture
def source(checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint that tests change."""
    return Path(shutil.copytree(checkpoint, tmp_path / "source"))


def quantized(source: Path, quantization: Quantization = INT8) -> tuple[Path, int]:
    """The quantized checkpoint's folder, and how often it was written by this call."""
    said: list[str] = []
    opened = open_checkpoint(str(source))
    found = quantized_checkpoint(opened, quantization, said.append, lambda done: None)
    assert found.quantization == quantization
    assert all(
        line.startswith(f"Quantizing {source} to {quantization.scheme} into {found.model}") for line in said
    )
    return Path(found.model), len(said)


def test_made_once(cache: Path, source: Path) -> None:
    """For each scheme and range, as long as the source stays the same."""
    folder, written = quantized(source)
    assert (folder.parent, written) == (cache, 1)
    assert folder.name.startswith("source-int8-")
    assert quantized(source) == (folder, 0)
    others = (Quantization(Scheme.INT8, max_int8=64), Quantization(Scheme.INT4, group_size=32))
    assert [quantized(source, other)[1] for other in others] == [1, 1]
    assert quantized(source) == (folder, 0)
    (source / "model-00001.safetensors").touch()
    newer, written = quantized(source)
    assert (newer != folder, written) == (True, 1)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut short": lambda folder: (folder / "model-00001.safetensors").write_bytes(b"x"),
    "a file is gone": lambda folder: (folder / "tokenizer.json").unlink(),
    "nothing there": shutil.rmtree,
}


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_made_anew(damage: str, source: Path) -> None:
    """With the same bytes."""
    folder, _ = quantized(source)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    DAMAGE[damage](folder)
    assert quantized(source) == (folder, 1)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_several_processes_at_once(cache: Path, source: Path) -> None:
    """One writes, the others wait for it; what one that died had begun is gone."""
    folder, _ = quantized(source)
    shutil.rmtree(folder)
    begun = cache / f".{folder.name}-abc"
    begun.mkdir()
    code = (
        "from phiserve.checkpoint.opened import open_checkpoint;"
        "from phiserve.checkpoint.quantization import Quantization, Scheme;"
        "from phiserve.checkpoint.quantized_cache import quantized_checkpoint;"
        f"source, quantization = open_checkpoint({str(source)!r}), Quantization(Scheme.INT8);"
        "print(quantized_checkpoint(source, quantization, print, lambda done: None).model)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own code
        for _ in range(2)
    ]
    said = [process.communicate(timeout=240)[0].splitlines() for process in processes]
    assert sorted(len(lines) for lines in said) == [1, 2]
    assert [lines[-1] for lines in said] == [str(folder)] * 2
    assert not begun.exists()


def test_a_failure_is_told_and_leaves_nothing(
    cache: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one sentence: a full disk, a cache that is no folder, a source that is quantized already."""

    def fail(done: float) -> None:
        raise OSError("disk full")

    opened = open_checkpoint(str(source))
    with pytest.raises(StartupError, match=r"cannot be written into .*: disk full"):
        quantized_checkpoint(opened, INT8, lambda line: None, fail)
    assert [path.suffix for path in cache.iterdir()] == [".lock"]
    folder, _ = quantized(source)
    with pytest.raises(StartupError, match="is quantized already"):
        quantized(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(source / "tokenizer.json"))
    with pytest.raises(StartupError, match="cannot be written"):
        quantized(source)


def from_hub(source: Path, revision: str) -> Checkpoint:
    """A hub repository's checkpoint, of which the small files are here, where the hub's library puts them."""
    snapshot = source.parent / "snapshots" / revision
    snapshot.mkdir(parents=True)
    tokenizer = Path(shutil.copy(source / "tokenizer.json", snapshot))
    return replace(open_checkpoint(str(source)), model="owner/name", tokenizer_json=tokenizer)


@pytest.mark.usefixtures("cache")
def test_hub_repository(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weights are fetched to be quantized, of the revision that was opened, and once for each."""
    fetched: list[tuple[str, str]] = []

    def download(repository: str, *, revision: str, allow_patterns: list[str]) -> str:
        fetched.append((repository, revision))
        return str(source)

    monkeypatch.setattr(quantized_cache, "snapshot_download", download)
    first, second = from_hub(source, "abc"), from_hub(source, "def")
    for opened in (first, first, second):
        found = quantized_checkpoint(opened, INT8, lambda line: None, lambda done: None)
        assert Path(found.model).name.startswith("name-int8-")
    assert fetched == [("owner/name", "abc"), ("owner/name", "def")]


def test_all_files_of_a_source(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is as it is; of a hub that is out of reach a sentence tells."""
    assert local_source(str(source)).model == str(source)

    def fail(*arguments: object, **options: object) -> str:
        raise OSError("offline")

    monkeypatch.setattr(quantized_cache, "snapshot_download", fail)
    monkeypatch.setattr(quantized_cache, "open_checkpoint", lambda model: from_hub(source, "abc"))
    with pytest.raises(StartupError, match=r"owner/name could not be fetched from the hub \(OSError\)"):
        local_source("owner/name")
