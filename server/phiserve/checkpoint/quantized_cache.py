"""Quantized checkpoints in the user's cache folder: made on first use, found while the source is the same."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from blake3 import blake3
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from phiserve.checkpoint.folders import cache_folder, locked
from phiserve.checkpoint.opened import Checkpoint, open_checkpoint
from phiserve.checkpoint.quantization import Quantization
from phiserve.checkpoint.quantizing import check_unquantized, quantize_checkpoint
from phiserve.checkpoint.weights import check_weights
from phiserve.errors import StartupError

_FORMAT = 1
"""Version of what is written. It is raised with each change, so that old caches are not served."""

_FETCHED = ["*.json", "*.safetensors", "*.model", "*.txt", "*.md", "LICENSE*"]
"""What is fetched of a hub repository: not its Python, nor weights in other formats."""


def quantized_checkpoint(
    source: Checkpoint,
    quantization: Quantization,
    say: Callable[[str], None],
    progress: Callable[[float], None],
) -> Checkpoint:
    """The quantized form of a checkpoint, which is written first if it is missing or damaged.

    `say` is called with a line of text before it is written, `progress` with how much is done, 0 to 1.
    Several processes at once write it once. Raises StartupError.
    """
    check_unquantized(source)
    folder = cache_folder() / f"{Path(source.model).name}-{_key(source, quantization)}"
    if (found := _sound(folder)) is not None:
        return found
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.parent / f".{folder.name}.lock"):
            if (found := _sound(folder)) is not None:  # another process has written it meanwhile
                return found
            for left in (folder, *folder.parent.glob(f".{folder.name}-*")):  # of processes that died
                if left.exists():
                    shutil.rmtree(left)
            local = _local(source)
            say(f"Quantizing {source.model} to {quantization.scheme} into {folder}")
            quantize_checkpoint(local, folder, quantization, progress)
    except OSError as error:
        raise StartupError(f"The quantized checkpoint cannot be written into {folder}: {error}") from error
    return open_checkpoint(str(folder))


def local_source(model: str) -> Checkpoint:
    """A checkpoint whose files are all here: a hub repository's are fetched. Raises StartupError."""
    return _local(open_checkpoint(model))


def _sound(folder: Path) -> Checkpoint | None:
    """The checkpoint in a folder; None where there is none, or none that is whole."""
    if not folder.is_dir():
        return None
    try:
        found = open_checkpoint(str(folder))
        check_weights(found, {})
    except StartupError:
        return None
    return found


def _key(source: Checkpoint, quantization: Quantization) -> str:
    """What tells one quantized checkpoint from another.

    A revision of a hub repository, or names, sizes and times of a folder's files: to read gigabytes again at
    each start would take longer than the start.
    """
    folder = Path(source.model)
    digest = blake3(repr((_FORMAT, quantization, source.model)).encode())
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                stat = path.stat()
                digest.update(repr((path.name, stat.st_size, stat.st_mtime_ns)).encode())
    else:
        digest.update(_revision(source).encode())
    return f"{quantization.scheme}-{digest.hexdigest(length=6)}"


def _revision(source: Checkpoint) -> str:
    """The revision of a hub repository whose small files have been fetched: the folder that they are in."""
    return source.tokenizer_json.parent.name


def _local(source: Checkpoint) -> Checkpoint:
    """The checkpoint with all its files here. Raises StartupError."""
    if Path(source.model).is_dir():
        return source
    try:
        folder = snapshot_download(source.model, revision=_revision(source), allow_patterns=_FETCHED)
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = type(error).__name__
        raise StartupError(f"{source.model} could not be fetched from the hub ({reason})") from error
    return replace(source, model=folder)
