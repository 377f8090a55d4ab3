"""Checkpoint folders of our own: writes them whole or not at all, and makes their configurations."""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from pydantic import JsonValue

from phiserve.checkpoint.opened import CLIP_LAYERS
from phiserve.errors import StartupError
from phiserve.vision.normalisation import IMAGE_MEAN, IMAGE_STD


def write_whole(folder: Path, write: Callable[[Path], None]) -> None:
    """Have `write` fill a folder beside `folder`, then rename it to `folder`.

    If anything fails, nothing is left behind. An empty folder is replaced, any other is not. Raises OSError.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        partial.chmod(0o755)
        write(partial)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def check_free(folder: Path) -> None:
    """Raise StartupError unless `folder` does not exist or is empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StartupError(f"{folder} exists and is not an empty folder")


def cache_folder() -> Path:
    """Where checkpoints that can be made anew are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "phiserve"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that no other process holds. A process that dies lets go of it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def phi3v_config(clip_layers: int | None = None, **changes: JsonValue) -> dict[str, JsonValue]:
    """The real model's config.json with `changes`.

    `clip_layers`: how many of CLIP's layers are used; None for as many as in the real model.
    """
    config = json.loads(_config_text())
    if clip_layers is not None:
        # Negative: the reference counts hidden states, vLLM layers, and only negative indices mean the same
        # to both.
        config["img_processor"]["layer_idx"] = clip_layers - CLIP_LAYERS - 1
    return {**config, **changes}


def rope_scaling(num_factors: int) -> dict[str, JsonValue]:
    """The real model's RoPE scaling for heads of another size.

    Of each kind the first `num_factors` factors are taken; the last one is repeated if there are too few.
    """
    scaling = json.loads(_config_text())["rope_scaling"]
    for kind in ("short_factor", "long_factor"):
        known = scaling[kind]
        scaling[kind] = (known + [known[-1]] * num_factors)[:num_factors]
    return {**scaling}


def preprocessor_config(max_crops: int) -> dict[str, object]:
    """A preprocessor_config.json for images of at most `max_crops` crops."""
    return {"num_crops": max_crops, "image_mean": IMAGE_MEAN, "image_std": IMAGE_STD}


def dump_json(path: Path, content: Mapping[str, object]) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def _config_text() -> str:
    return files("phiserve.checkpoint").joinpath("phi3v_config.json").read_text("utf-8")
