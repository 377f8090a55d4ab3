"""Compiled code works where nothing can be written; its arithmetic is held by `test_crops`."""

import os
import subprocess
import sys
from pathlib import Path

import phiserve


def test_nowhere_to_keep_what_is_compiled(tmp_path: Path) -> None:
    """A read-only container: numba finds no folder for its cache, and compiles all the same."""
    code = (
        "from numba.core import caching; caching.CacheImpl._locator_classes = [];"
        "from phiserve.vision import resampling; print(resampling.weights(2, 1)[2].tolist())"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(phiserve.__file__).parents[1]), "HOME": str(tmp_path)}
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == f"[[{1 << 21}, {1 << 21}, 0, 0, 0]]"


def test_a_full_disk(tmp_path: Path) -> None:
    """numba finds its folder and no room in it: what is compiled works, and is not kept."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0));"
        "from phiserve.vision import resampling; print(resampling.weights(2, 1)[2].tolist(), flush=True)"
    )
    environment = os.environ | {
        "PYTHONPATH": str(Path(phiserve.__file__).parents[1]),
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
    }
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == f"[[{1 << 21}, {1 << 21}, 0, 0, 0]]"
    assert list(tmp_path.rglob("*.nbi")) == []
