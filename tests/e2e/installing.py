"""Dependencies of examples that need an environment of their own: installed once, then kept in pytest's
cache.
"""

import hashlib
import shutil
import sys
from pathlib import Path

import pytest

from registry import fetch_by


def npm_folder(cache: pytest.Cache, source: Path) -> Path:
    """A copy of a folder with its package-lock.json's packages in it."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not on this machine")
    folder = _folder(cache, "npm", source / "package-lock.json")
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    if not (folder / "installed").exists():
        fetch_by(npm, "ci", "--prefix", str(folder), "--no-audit", "--no-fund")
        (folder / "installed").touch()
    return folder


def python_with(cache: pytest.Cache, requirements: Path) -> Path:
    """The interpreter of a virtual environment that holds these requirements and nothing of ours."""
    folder = _folder(cache, "venv", requirements)
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        fetch_by(sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder))
        install = ["-m", "pip", "--python", str(python), "install", "--no-compile", "-r", str(requirements)]
        fetch_by(sys.executable, *install)  # not compiled: the one example imports a small part
        (folder / "installed").touch()
    return python


def _folder(cache: pytest.Cache, kind: str, lock: Path) -> Path:
    """A folder for exactly what this file asks for."""
    return cache.mkdir(f"phiserve-{kind}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}")
