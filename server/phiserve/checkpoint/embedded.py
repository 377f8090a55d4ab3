"""Checkpoints that need no download: written into the user's cache folder, and checked each time they are
served.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from blake3 import blake3

from phiserve.checkpoint.folders import dump_json, write_whole
from phiserve.errors import StartupError

DEMO_NAME = "phiserve-demo"
"""A tiny model that `demo/` trained on drawn images."""

BLANK_NAME = "phiserve-blank"
"""Random weights, for work where speed and memory matter and answers do not."""

DEFAULT_NAME = DEMO_NAME
"""What is served when no model is named."""

_FORMAT = 2
"""Raised when what is written changes, so that old caches are not served."""

_HASHES = "hashes.json"

WEIGHTS_FILE = "demo_weights.safetensors.xz"
"""What the demo model learned, packed by `checkpoint.demo`. Named here, since that module needs torch and
this one does not."""


def locate(model: str | None, say: Callable[[str], None]) -> str:
    """The folder of an embedded checkpoint, named or by default; any other model as it is. Raises
    StartupError.
    """
    if model not in (None, DEMO_NAME, BLANK_NAME):
        return model
    return str(embedded_checkpoint(model or DEFAULT_NAME, say))


def embedded_checkpoint(name: str, say: Callable[[str], None]) -> Path:
    """Folder of an embedded checkpoint, written first if it is missing or damaged. Raises StartupError if it
    can't be written.
    """
    folder = _cache_folder() / f"{name}-{_version(name)}"
    if is_intact(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.parent / f".{name}.lock"):
            if not is_intact(folder):  # else another process has written it meanwhile
                say(f"Writing the embedded checkpoint {name} into {folder}")
                _write_anew(name, folder)
    except OSError as error:
        raise StartupError(f"The embedded checkpoint cannot be written into {folder}: {error}") from error
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait until no other process holds the lock; one that dies lets go of it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write_anew(name: str, folder: Path) -> None:
    """Remove what is there, and what processes left that died while they wrote, then write."""
    for left in (folder, *folder.parent.glob(f".{name}-*")):
        if left.exists():
            shutil.rmtree(left)
    write_whole(folder, lambda partial: _write(name, partial))


def packed_weights() -> bytes:
    """What the demo model learned, as it lies in the package. Raises StartupError if it is not there."""
    try:
        return files("phiserve.checkpoint").joinpath(WEIGHTS_FILE).read_bytes()
    except OSError as error:
        raise StartupError(
            f"The demo model's weights are not in the package ({WEIGHTS_FILE}): install phiserve anew"
        ) from error


def weights_digest() -> str:
    """SHA-256 of what the demo model learned. Raises StartupError if it is not there."""
    return hashlib.sha256(packed_weights()).hexdigest()


def is_intact(folder: Path) -> bool:
    """Whether every file is there with the bytes that were written."""
    try:
        hashes = json.loads((folder / _HASHES).read_text(encoding="utf-8"))
        return bool(hashes) and all(_hash(folder / name) == value for name, value in hashes.items())
    except (OSError, ValueError, AttributeError):
        return False


def _write(name: str, folder: Path) -> None:
    if name == DEMO_NAME:
        from phiserve.checkpoint.demo import write_demo

        write_demo(folder)
    else:
        from phiserve.checkpoint.blank import BlankShape, fill_blank

        fill_blank(folder, BlankShape())
    dump_json(folder / _HASHES, {path.name: _hash(path) for path in sorted(folder.iterdir())})


def _hash(path: Path) -> str:
    return blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest()


def _version(name: str) -> str:
    if name == BLANK_NAME:
        return str(_FORMAT)
    return f"{_FORMAT}-{weights_digest()[:12]}"


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "phiserve"
