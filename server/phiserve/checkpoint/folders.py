"""Checkpoint folders: written whole or not at all, and what the configurations of our own checkpoints have in
common.
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from phiserve.vision.normalisation import IMAGE_MEAN, IMAGE_STD


def write_whole(folder: Path, write: Callable[[Path], None]) -> None:
    """Have `write` fill a folder beside `folder`, then put it in place; what fails leaves nothing behind.
    Raises OSError.

    An empty folder is replaced, any other is not.
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


def phi3v_config() -> dict[str, Any]:
    """The real model's config.json."""
    config: dict[str, Any] = json.loads(
        files("phiserve.checkpoint").joinpath("phi3v_config.json").read_text("utf-8")
    )
    return config


def preprocessor_config(max_crops: int) -> dict[str, Any]:
    """A preprocessor_config.json for this max_crops."""
    return {"num_crops": max_crops, "image_mean": IMAGE_MEAN, "image_std": IMAGE_STD}


def dump_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
