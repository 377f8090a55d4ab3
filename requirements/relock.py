"""Writes requirements/cpu.lock, dev.lock and conformance.lock anew from pyproject.toml, with pip's own
resolver.

Left out: packages that do not import beside the CPU build of torch, or that it does not need (see
`EXCLUDED`).
"""

import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parent.parent
TORCH = "torch==2.13.0+cpu"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
EXCLUDED = {"torchvision", "torchaudio", "torchcodec", "triton", "phiserve"}
HEADER = (
    "# Exact versions; written by `make lock`."
    " Installed with --no-deps, so that what is left out stays out.\n"
)


def torch_index() -> list[str]:
    """PyTorch's own index of CPU builds, where it answers; else pip must be configured with another."""
    try:
        urllib.request.urlopen(f"{TORCH_INDEX}/torch/", timeout=5).close()
    except OSError:
        return []
    return ["--extra-index-url", TORCH_INDEX]


def resolve(extras: str, *constraints: str) -> dict[str, str]:
    """Name -> version of everything pip would install for these extras."""
    with tempfile.NamedTemporaryFile() as report:
        options = ["--quiet", "--dry-run", "--ignore-installed", "--report", report.name, *torch_index()]
        command = [sys.executable, "-m", "pip", "install", *options, f"{ROOT}[{extras}]", TORCH, *constraints]
        subprocess.run(command, check=True)
        items = json.loads(Path(report.name).read_text())["install"]
    versions = {
        item["metadata"]["name"].lower().replace("_", "-"): item["metadata"]["version"] for item in items
    }
    return {name: version for name, version in sorted(versions.items()) if name not in EXCLUDED}


def write(path: Path, versions: dict[str, str]) -> None:
    """One pin a line."""
    path.write_text(HEADER + "".join(f"{name}=={version}\n" for name, version in versions.items()))


def main() -> None:
    """Resolve the runtime first, then the development tools and what the suites need, each on top of exactly
    that.
    """
    known: dict[str, str] = {}
    for name, extras in (
        ("cpu", "cpu"),
        ("dev", "cpu,bench,demo,dev"),
        ("conformance", "cpu,bench,demo,dev,conformance"),
    ):
        resolved = resolve(extras, *(f"{package}=={version}" for package, version in known.items()))
        write(ROOT / "requirements" / f"{name}.lock", {k: v for k, v in resolved.items() if k not in known})
        known = resolved


main()
