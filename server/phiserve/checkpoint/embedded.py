"""The checkpoint served when none is named: written once into the user's cache folder."""

import os
from collections.abc import Callable
from pathlib import Path

from phiserve.errors import StartupError

EMBEDDED_NAME = "phiserve-blank"
_FORMAT = 1
"""Raised when what is written changes, so that old caches are not served."""


def embedded_checkpoint(say: Callable[[str], None]) -> Path:
    """Folder of the embedded checkpoint, written first if need be. Raises StartupError when the cache cannot be written."""
    folder = _cache_folder() / f"{EMBEDDED_NAME}-{_FORMAT}"
    if not folder.is_dir():
        from phiserve.checkpoint.blank import BlankShape, write_blank

        say(f"Writing a blank checkpoint into {folder}")
        try:
            write_blank(folder, BlankShape())
        except (OSError, StartupError) as error:
            if not folder.is_dir():  # else another process was faster
                raise StartupError(f"The embedded checkpoint cannot be written into {folder}: {error}") from error
    return folder


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "phiserve"
