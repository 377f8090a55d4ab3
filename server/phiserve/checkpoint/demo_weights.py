"""The demo model's weights: a file in the package, packed by `checkpoint.demo`. Needs no torch."""

import hashlib
from importlib.resources import files

from phiserve.errors import StartupError

WEIGHTS_FILE = "demo_weights.safetensors.xz"


def packed_weights() -> bytes:
    """The content of the file. Raises StartupError if it is not there."""
    try:
        return files("phiserve.checkpoint").joinpath(WEIGHTS_FILE).read_bytes()
    except OSError as error:
        raise StartupError(
            f"The demo model's weights are not in the package ({WEIGHTS_FILE}): install phiserve anew"
        ) from error


def weights_digest() -> str:
    """SHA-256 of the file, in hexadecimal. Raises StartupError if it is not there."""
    return hashlib.sha256(packed_weights()).hexdigest()
