"""What the engine runs on: device, memory, cores."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from vllm.platforms import current_platform
from vllm.utils.cpu_resource_utils import get_memory_node_info

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Host:
    """What the engine runs on: "cpu", or a GPU by its name.

    `ram_bytes` is the host memory free now; `device_bytes` all of a GPU's memory, on CPU what vLLM would
    grant a KV cache. `emulates_bf16`: bf16 products are computed one by one, dozens of times slower than
    float32. `image_bytes`: what decoding images may take of the host's memory.
    """

    device: str
    ram_bytes: int
    device_bytes: int
    cores: int
    emulates_bf16: bool = False
    image_bytes: int = 0

    @property
    def is_cpu(self) -> bool:
        """Whether the model runs on the CPU."""
        return self.device == "cpu"


def detect_host() -> Host:
    """Look at the device vLLM would use and at its free memory."""
    cores = len(os.sched_getaffinity(0))
    ram = min(psutil.virtual_memory().available, _cgroup_free())
    if current_platform.is_cpu():
        return Host("cpu", ram, get_memory_node_info(0).available_memory, cores, _emulates_bf16())
    return Host(current_platform.device_name, ram, current_platform.get_device_total_memory(), cores)


def _emulates_bf16() -> bool:
    """oneDNN multiplies bf16 from AVX-512 on; on older x86 processors torch falls back to a loop."""
    return platform.machine() == "x86_64" and torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2")


def _cgroup_free() -> int:
    """Bytes left under the container's memory limit, or 2**62 without one.

    File cache counts as free, because it gives way.
    """
    folder = Path("/sys/fs/cgroup")
    try:
        limit = int((folder / "memory.max").read_text())
        used = int((folder / "memory.current").read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return limit - used + int(stat["inactive_file"]) + int(stat["active_file"])
    except (OSError, ValueError, KeyError):  # no limit, or no cgroup v2
        return 2**62
