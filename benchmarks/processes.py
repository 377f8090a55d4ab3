"""CPU time and memory of a server's processes, by what they are: the API process, the engine's, and its
worker's.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ROLES = ("api", "engine", "worker", "other")
_IDLE = ("resource_tracker", "forkserver", "EngineTemplate")


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """CPU seconds so far, most memory it ever had (bytes resident), its share of memory now (bytes, shared
    ones divided).
    """

    role: str
    cpu_s: float
    peak_bytes: int
    share_bytes: int


def tree(root: int) -> list[psutil.Process]:
    """A process and all that come from it; none if it has gone."""
    try:
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def use(root: int) -> dict[int, ProcessUse]:
    """What each process of a server has used, by its id."""
    found: dict[int, ProcessUse] = {}
    for process in tree(root):
        with suppress(psutil.Error, OSError):
            found[process.pid] = _use(process, root)
    return found


def cpu_seconds(before: Mapping[int, ProcessUse], after: Mapping[int, ProcessUse]) -> dict[str, float]:
    """CPU seconds between two looks, by role; every role is there."""
    seconds = dict.fromkeys(ROLES, 0.0)
    for pid, used in after.items():
        seconds[used.role] += used.cpu_s - (before[pid].cpu_s if pid in before else 0.0)
    return seconds


def memory(uses: Iterable[ProcessUse]) -> dict[str, float]:
    """Peak bytes by role and in all, and the sum of shares: what the server takes of the machine."""
    listed = list(uses)
    peaks = {
        f"peak_{role}_bytes": float(sum(u.peak_bytes for u in listed if u.role == role)) for role in ROLES
    }
    total = sum(used.peak_bytes for used in listed)
    return {
        **peaks,
        "peak_all_bytes": float(total),
        "share_all_bytes": float(sum(used.share_bytes for used in listed)),
    }


def role_of(process: psutil.Process, root: int) -> str:
    """By descent: what the API process starts is the engine, what that starts is the worker; trackers of
    Python's and what engines are forked from are neither.
    """
    if process.pid == root:
        return "api"
    if any(word in part for part in process.cmdline() for word in _IDLE):
        return "other"
    return "engine" if process.ppid() == root else "worker"


def _use(process: psutil.Process, root: int) -> ProcessUse:
    times = process.cpu_times()
    folder = Path("/proc", str(process.pid))
    return ProcessUse(
        role_of(process, root),
        times.user + times.system,
        _kilobytes(folder / "status", "VmHWM:") * 1024,
        _kilobytes(folder / "smaps_rollup", "Pss:") * 1024,
    )


def _kilobytes(file: Path, key: str) -> int:
    return next((int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith(key)), 0)
