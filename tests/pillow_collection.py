"""Pillow's own test files as data: edge cases, damage and attacks that its authors gathered over the
years.
"""

import fcntl
import io
import sys
import tarfile
from functools import cache
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image, ImageOps

from phiserve.codecs import EXTRA_FORMATS, FORMATS, parse
from phiserve.errors import InvalidImage
from registry import fetch_by


def collection_folder(pytestconfig: pytest.Config) -> Path:
    """All that Pillow's source distribution holds for its tests, downloaded once and kept in pytest's cache.

    Skips the test where no registry can be reached.
    """
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir(f"pillow-{PIL.__version__}")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another of pytest-xdist's workers may be at it
        if not (folder / "Tests").is_dir():
            _download(folder)
    return folder / "Tests"


def _download(folder: Path) -> None:
    """Pillow's source distribution, unpacked."""
    # pip asks a source distribution for its metadata before it keeps the file, for which it gets what
    # Pillow's build wants from the registry too; nothing is compiled.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "pillow"]
    fetch_by(*command, "--dest", str(folder), f"pillow=={PIL.__version__}")
    unpack(next(folder.glob("*.tar.gz")), folder)


def unpack(archive: Path, folder: Path) -> None:
    """Everything below Tests/, which appears at once or not at all."""
    with tarfile.open(archive) as source:
        top = source.getnames()[0].split("/")[0]
        members = [member for member in source if member.name.startswith(f"{top}/Tests/")]
        source.extractall(folder, members, filter="data")
    (folder / top / "Tests").rename(folder / "Tests")
    archive.unlink()


def files_of(collection: Path) -> list[Path]:
    """Every file, in order."""
    return sorted(path for path in collection.rglob("*") if path.is_file())


@cache
def equals_pillows(content: bytes) -> bool | None:
    """Whether an image comes out as Pillow shows it, upright and on white; None where Pillow has no right
    image of it.

    Deliberately different: 16-bit grey (Pillow clips) and CMYK with a profile (Pillow does arithmetic). False
    where refused.
    """
    expected = by_pillow(content)
    if expected is None:
        return None
    try:
        return np.array_equal(parse(content, (*FORMATS, *EXTRA_FORMATS)).decode(), np.asarray(expected))
    except InvalidImage:
        return False


def by_pillow(content: bytes) -> Image.Image | None:
    """An image in Pillow's plain way, or None where Pillow cannot read it, or does not read it right.

    A BMP that is transparent all over is opaque, as in browsers.
    """
    try:
        with Image.open(io.BytesIO(content), formats=(*FORMATS, "AVIF")) as image:
            if image.width * image.height > 10**7 or image.mode.startswith("I;16"):
                return None
            image.load()
            upright = ImageOps.exif_transpose(image)
            if image.mode == "CMYK" and "icc_profile" in image.info:
                return None
            if not image.has_transparency_data:
                return upright.convert("RGB")
            clear = upright.convert("RGBA")
            if image.format == "BMP" and clear.getchannel("A").getbbox() is None:
                return upright.convert("RGB")
            return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    except (OSError, SyntaxError, ValueError):
        return None
