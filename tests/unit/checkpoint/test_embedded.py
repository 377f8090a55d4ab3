"""Embedded checkpoints live in the user's cache, and are made anew when they are not what was written."""

import json
import lzma
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import save
from torch import Tensor

from phiserve.checkpoint import demo, demo_weights
from phiserve.checkpoint.demo_weights import WEIGHTS_FILE
from phiserve.checkpoint.embedded import (
    BLANK_NAME,
    DEFAULT_NAME,
    DEMO_NAME,
    embedded_checkpoint,
    is_intact,
    locate,
)
from phiserve.checkpoint.kinds import CheckpointKind
from phiserve.checkpoint.opened import open_checkpoint
from phiserve.errors import StartupError


def silently(line: str) -> None:
    """Say nothing."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and a package with weights."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(demo_weights, "files", lambda package: tmp_path)
    (tmp_path / WEIGHTS_FILE).write_bytes(b"weights")
    return tmp_path / "cache" / "phiserve"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two small files are the demo model's checkpoint; where they were written."""
    written: list[Path] = []

    def write(folder: Path) -> None:
        written.append(folder)
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(bytes(range(256)))

    monkeypatch.setattr(demo, "write_demo", write)
    return written


def test_the_demo_model(compact: dict[str, Tensor], cache: Path) -> None:
    """It is expanded from the package's weights, opens as what it is, and is found intact by the next
    call.
    """
    (cache.parents[1] / WEIGHTS_FILE).write_bytes(lzma.compress(save(compact), preset=0))
    said: list[str] = []
    folder = embedded_checkpoint(DEMO_NAME, said.append)
    assert open_checkpoint(str(folder)).kind is CheckpointKind.DEMO
    assert embedded_checkpoint(DEMO_NAME, said.append) == folder
    assert said == [f"Writing the embedded checkpoint {DEMO_NAME} into {folder}"]


def test_the_blank_model(cache: Path) -> None:
    """It needs no weights."""
    (cache.parents[1] / WEIGHTS_FILE).unlink()
    folder = embedded_checkpoint(BLANK_NAME, silently)
    assert folder.parent == cache
    assert open_checkpoint(str(folder)).kind is CheckpointKind.BLANK
    assert is_intact(folder)


def test_names(cache: Path, small: list[Path]) -> None:
    """Without a name it is the default; what is no embedded checkpoint's name is left as it is, and nothing
    is written.
    """
    assert locate("owner/name", silently) == "owner/name"
    assert locate("", silently) == ""
    assert not cache.exists()
    assert (
        locate(None, silently)
        == locate(DEFAULT_NAME, silently)
        == str(embedded_checkpoint(DEFAULT_NAME, silently))
    )
    assert locate(DEMO_NAME, silently) == str(embedded_checkpoint(DEMO_NAME, silently))
    assert len(small) == 1


def flip(folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[100] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def displace(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a flipped bit": flip,
    "cut short": lambda folder: (folder / "model.safetensors").write_bytes(b""),
    "a file is gone": lambda folder: (folder / "config.json").unlink(),
    "a folder instead of a file": displace,
    "half-written": lambda folder: (folder / "hashes.json").unlink(),
    "no hashes": lambda folder: (folder / "hashes.json").write_text("{}"),
    "hashes of something else": lambda folder: (folder / "hashes.json").write_text("[1]"),
    "broken hashes": lambda folder: (folder / "hashes.json").write_bytes(b"\xff{"),
    "an empty folder": empty,
    "nothing there": shutil.rmtree,
}


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_made_anew(damage: str, small: list[Path]) -> None:
    """Once, in the same folder; then it is intact."""
    folder = embedded_checkpoint(DEMO_NAME, silently)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    DAMAGE[damage](folder)
    assert not is_intact(folder)
    said: list[str] = []
    assert embedded_checkpoint(DEMO_NAME, said.append) == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert (len(said), len(small)) == (1, 2)
    assert embedded_checkpoint(DEMO_NAME, said.append) == folder
    assert len(small) == 2


def test_other_weights_another_folder(cache: Path, small: list[Path]) -> None:
    """A package with other weights does not serve those that an older one cached."""
    old = embedded_checkpoint(DEMO_NAME, silently)
    (cache.parents[1] / WEIGHTS_FILE).write_bytes(b"other weights")
    new = embedded_checkpoint(DEMO_NAME, silently)
    assert old != new
    assert is_intact(old)
    assert len(small) == 2


def test_a_failure_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No room on the disk, or a cache that is no folder, is told in one sentence."""

    def write(folder: Path) -> None:
        (folder / "config.json").write_text("{}")
        raise OSError("disk full")

    monkeypatch.setattr(demo, "write_demo", write)
    with pytest.raises(StartupError, match=r"cannot be written into .*: disk full"):
        embedded_checkpoint(DEMO_NAME, silently)
    assert [path.name for path in cache.iterdir()] == [f".{DEMO_NAME}.lock"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parents[1] / WEIGHTS_FILE))
    with pytest.raises(StartupError, match="cannot be written"):
        embedded_checkpoint(BLANK_NAME, silently)


def test_several_processes_at_once(cache: Path) -> None:
    """One writes, the others wait and find it intact; what one that died had begun is gone."""
    folder = embedded_checkpoint(BLANK_NAME, silently)
    (folder / "config.json").write_text("{}")
    begun = cache / f".{folder.name}-abc"
    begun.mkdir()
    code = (
        "from phiserve.checkpoint.embedded import embedded_checkpoint;"
        f"print(embedded_checkpoint({BLANK_NAME!r}, print))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own code
        for _ in range(3)
    ]
    said = [process.communicate(timeout=120)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert [lines[-1] for lines in said] == [str(folder)] * 3
    assert sorted(len(lines) for lines in said) == [1, 1, 2]
    assert is_intact(folder)
    assert not begun.exists()


@pytest.mark.usefixtures("small")
def test_every_file_is_guarded(cache: Path) -> None:
    """By its hash."""
    folder = embedded_checkpoint(DEMO_NAME, silently)
    names = {path.name for path in folder.iterdir()}
    assert json.loads((folder / "hashes.json").read_text()).keys() == names - {"hashes.json"}
    assert len(names) == 3
    assert cache in folder.parents


def test_a_package_without_weights(cache: Path) -> None:
    """Is told in one sentence."""
    (cache.parents[1] / WEIGHTS_FILE).unlink()
    with pytest.raises(StartupError, match="not in the package"):
        embedded_checkpoint(DEMO_NAME, silently)


@pytest.mark.usefixtures("small")
def test_what_is_cached_is_found_without_torch(cache: Path) -> None:
    """Commands that load no weights stay fast."""
    folder = embedded_checkpoint(DEMO_NAME, silently)
    code = (
        "import sys; from phiserve.checkpoint import demo_weights, embedded;"
        "demo_weights.packed_weights = lambda: b'weights';"
        "print(embedded.locate(embedded.DEMO_NAME, print), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - our own code
    assert done.stdout.split() == [str(folder), "False"]
    assert cache in folder.parents


ONE_THREAD = """
import os
from phiserve.checkpoint.embedded import embedded_checkpoint
embedded_checkpoint("phiserve-blank", print)  # written
embedded_checkpoint("phiserve-blank", print)  # found intact
print(len(os.listdir("/proc/self/task")))
"""


def test_no_thread_stays(tmp_path: Path) -> None:
    """A server with a second thread would fork no engines."""
    ran = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", ONE_THREAD],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"},
    )
    said, threads = ran.stdout.splitlines()
    assert said.startswith("Writing")
    assert threads == "1"
