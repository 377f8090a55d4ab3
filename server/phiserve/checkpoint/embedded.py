"""Checkpoints that need no download.

They are written into the user's cache folder, and checked each time they are served.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from blake3 import blake3

from phiserve.checkpoint.demo_weights import weights_digest
from phiserve.checkpoint.folders import cache_folder, dump_json, locked, write_whole
from phiserve.errors import StartupError

DEMO_NAME = "phiserve-demo"
"""A tiny model that `demo/` trained on drawn images."""

BLANK_NAME = "phiserve-blank"
"""Random weights, for work where speed and memory matter and answers do not."""

DEFAULT_NAME = DEMO_NAME
"""What is served when no model is named."""

_FORMAT = 2
"""Version of what is written. It is raised with each change, so that old caches are not served."""

_HASHES = "hashes.json"


def locate(model: str | None, say: Callable[[str], None]) -> str:
    """The folder or hub repository to open for the setting `model`.

    For the name of an embedded checkpoint, or None for the default one, its folder; any other `model` as it
    is. `say` is called with a line of text before what takes long. Raises StartupError.
    """
    if model not in (None, DEMO_NAME, BLANK_NAME):
        return model
    return str(embedded_checkpoint(model or DEFAULT_NAME, say))


def embedded_checkpoint(name: str, say: Callable[[str], None]) -> Path:
    """The folder of an embedded checkpoint, which is written first if it is missing or damaged.

    `say` is called with a line of text before it is written. Raises StartupError if it can't be written.
    """
    folder = cache_folder() / f"{name}-{_version(name)}"
    if is_intact(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.parent / f".{name}.lock"):
            if not is_intact(folder):  # else another process has written it meanwhile
                say(f"Writing the embedded checkpoint {name} into {folder}")
                _write_anew(name, folder)
    except OSError as error:
        raise StartupError(f"The embedded checkpoint cannot be written into {folder}: {error}") from error
    return folder


def _write_anew(name: str, folder: Path) -> None:
    """Write a checkpoint in place of what is there.

    What processes have left that died while they wrote is removed as well.
    """
    for left in (folder, *folder.parent.glob(f".{name}-*")):
        if left.exists():
            shutil.rmtree(left)
    write_whole(folder, lambda partial: _write(name, partial))


def is_intact(folder: Path) -> bool:
    """Whether every file is there, with the bytes that were written."""
    try:
        hashes = json.loads((folder / _HASHES).read_text(encoding="utf-8"))
        return bool(hashes) and all(_hash(folder / name) == value for name, value in hashes.items())
    except (OSError, ValueError, AttributeError):
        return False


def _write(name: str, folder: Path) -> None:
    with _one_thread():
        if name == DEMO_NAME:
            from phiserve.checkpoint.demo import write_demo

            write_demo(folder)
        else:
            from phiserve.checkpoint.blank import BlankShape, fill_blank

            fill_blank(folder, BlankShape())
    dump_json(folder / _HASHES, {path.name: _hash(path) for path in sorted(folder.iterdir())})


@contextmanager
def _one_thread() -> Iterator[None]:
    """Have torch begin no threads: a server that has any forks no engines (`engine.forking`)."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _hash(path: Path) -> str:
    return blake3().update_mmap(path).hexdigest()


def _version(name: str) -> str:
    if name == BLANK_NAME:
        return str(_FORMAT)
    return f"{_FORMAT}-{weights_digest()[:12]}"
