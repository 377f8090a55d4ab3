"""Virtual environments for what can't be installed beside the server: made once, made anew when what they
hold is to change.
"""

import hashlib
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import ROOT


def prepare(name: str, requirements: Sequence[str], *, dependencies: bool) -> Path:
    """The Python of an environment with these requirements. Raises CalledProcessError where they can't be
    installed.

    It sees the project's packages behind its own, torch above all. `dependencies`: what the requirements want
    is installed too, where the project does not have it.
    """
    folder = ROOT / f".venv-{name}"
    python, stamp = folder / "bin" / "python", folder / "stamp"
    wanted = hashlib.sha256("\n".join(requirements).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    venv.EnvBuilder(with_pip=False, symlinks=True, clear=True).create(folder)
    packages = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    line = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    Path(packages, "project.pth").write_text(line, encoding="utf-8")
    options = ["--quiet", *([] if dependencies else ["--no-deps"])]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    subprocess.run([*pip, "install", *options, *requirements], check=True)
    stamp.write_text(wanted)
    return python


def pins(file: Path) -> list[str]:
    """The requirements of a file, without comments."""
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]
