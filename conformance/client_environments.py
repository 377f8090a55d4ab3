"""The environments of the real clients: one for each, with exactly the versions that its folder pins."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from conformance.environment import ROOT

CLIENTS = ROOT / "conformance" / "clients"
ENVIRONMENTS = ROOT / ".venv-clients"
_CHECKS = ("checks.py", "checks.mjs")
"""What clients in Python and in JavaScript have in common, copied beside them."""

_STARTERS = {"client.py": "python", "client.mjs": "node", "client.sh": "bash"}
_NOT_COPIED = {"client.yaml", "requirements.txt", "results.json"}
_PATHS = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "OPENBLAS_CORETYPE")
"""What of our own environment a client sees; everything else could hold keys or switch something on."""


@dataclass(frozen=True, slots=True)
class Client:
    """A folder of `conformance/clients`: its name, the package whose version is told, and what its
    `client.yaml` says of it.

    `before` is what stopped it in the past; `required`: it must be green; `note` is for the table; `python`
    is the version of Python that it needs, where ours is none of them.
    """

    name: str
    title: str
    package: str
    before: str
    note: str = ""
    required: bool = False
    timeout_s: float = 600
    python: str = ""

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return CLIENTS / self.name

    @property
    def environment(self) -> Path:
        """Where its environment is set up, which its runs share."""
        return ENVIRONMENTS / self.name

    @property
    def run_folder(self) -> Path:
        """Where its files are copied to and run. Node.js looks for packages beside the file that imports
        them, so its clients run where `node_modules` is.
        """
        return self.environment if self._is_npm else self.environment / "run"

    @property
    def pins(self) -> Path:
        """The file with the exact versions."""
        return self.folder / ("package.json" if self._is_npm else "requirements.txt")

    def command_in(self, variables: Mapping[str, str]) -> tuple[str, ...]:
        """How it is started in its run folder, by a program that the PATH of these variables has."""
        (starter,) = (name for name in _STARTERS if (self.folder / name).exists())
        program = _STARTERS[starter]
        return shutil.which(program, path=variables["PATH"]) or program, starter

    @property
    def _is_npm(self) -> bool:
        return (self.folder / "package.json").exists()


def read_clients(names: Sequence[str] = ()) -> tuple[Client, ...]:
    """The clients that are named, or all, sorted by name. Raises ValueError for a name that is none."""
    present = sorted(path.parent.name for path in CLIENTS.glob("*/client.yaml"))
    if unknown := set(names) - set(present):
        raise ValueError(f"no such client: {', '.join(sorted(unknown))}; there are {', '.join(present)}")
    return tuple(_read(name) for name in present if not names or name in names)


def prepare(client: Client) -> None:
    """Set up the environment, unless it stands already for these pins, and copy the client's files into it.

    Raises `subprocess.CalledProcessError` where the packages cannot be installed.
    """
    stamp = client.environment / "stamp"
    wanted = hashlib.sha256(client.pins.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(client.environment, ignore_errors=True)
        client.environment.mkdir(parents=True)
        if client.pins.name == "package.json":
            _install_npm(client)
        else:
            _install_pip(client)
        stamp.write_text(wanted)
    client.run_folder.mkdir(exist_ok=True)
    (client.environment / "home").mkdir(exist_ok=True)
    for file in (*(CLIENTS / name for name in _CHECKS), *client.folder.iterdir()):
        if file.is_file() and file.name not in _NOT_COPIED:
            shutil.copy(file, client.run_folder)


def variables(client: Client, url: str, model: str, image: Path) -> dict[str, str]:
    """The environment variables of a client's process; `url` is that of the server, without /v1."""
    binaries = [str(client.environment / "bin"), str(client.environment / "node_modules" / ".bin")]
    own = {name: os.environ[name] for name in _PATHS if name in os.environ}
    return own | {
        "PATH": os.pathsep.join([*binaries, own.get("PATH", os.defpath)]),
        "HOME": str(client.environment / "home"),
        "PYTHONUNBUFFERED": "1",
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_KEY": "clients",
        "PHISERVE_MODEL": model,
        "PHISERVE_IMAGE": str(image),
    }


def _read(name: str) -> Client:
    return Client(name, **yaml.safe_load((CLIENTS / name / "client.yaml").read_text(encoding="utf-8")))


def _install_pip(client: Client) -> None:
    python = _python(client.python) if client.python else sys.executable
    subprocess.run([python, "-m", "venv", "--without-pip", str(client.environment)], check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    target = ["--python", str(client.environment / "bin" / "python")]
    subprocess.run([*pip, *target, "install", "--quiet", "-r", str(client.pins)], check=True)


def _python(version: str) -> str:
    """The Python of this version, e.g. `3.12`, that pyenv or the PATH has."""
    installed = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    return str(installed[-1]) if installed else f"python{version}"


def _install_npm(client: Client) -> None:
    shutil.copy(client.pins, client.environment)
    npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]
    subprocess.run(npm, cwd=client.environment, check=True)
