"""What a soaked server holds, looked at every two seconds; and whether it grows."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median

import psutil

from benchmarks.processes import tree

MIB = 2**20
_ENGINE = "VLLM"
_MOST_POINTS = 200
_NUMBERS = re.compile(r"\d+|(?<=/)[0-9a-f]{8}-[0-9a-f-]{27}")


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory in MiB (resident), threads and descriptors; those of the engine are 0 while there is none.

    `others`: processes of the server besides these two, an engine that still loads among them; `unfinished`:
    requests that the engine holds, -1 where the server did not say.
    """

    at_s: float
    api_mib: float
    api_threads: int
    api_descriptors: int
    engine_pid: int
    engine_mib: float
    engine_threads: int
    engine_descriptors: int
    others: int
    others_mib: float
    unfinished: float


def engine_of(root: int) -> psutil.Process | None:
    """The engine's process, by the name that vLLM gives it."""
    for process in tree(root):
        with suppress(psutil.Error):
            if process.pid != root and process.name().startswith(_ENGINE):
                return process
    return None


def sample(root: int, at_s: float, unfinished: float) -> Sample:
    """Look at a server's processes. Raises psutil.NoSuchProcess if it has gone."""
    api = psutil.Process(root)
    engine = engine_of(root)
    others = [one for one in tree(root) if one.pid != root and (engine is None or one.pid != engine.pid)]
    return Sample(
        at_s,
        api.memory_info().rss / MIB,
        api.num_threads(),
        api.num_fds(),
        *_engine_figures(engine),
        len(others),
        sum(map(_mib, others)),
        unfinished,
    )


def descriptors(pid: int) -> dict[str, int]:
    """What a process has open, by kind, and how often: its numbers are left out."""
    kinds: Counter[str] = Counter()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            kinds[_NUMBERS.sub("N", os.readlink(entry))] += 1
    return dict(kinds)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The median of the slopes of all pairs of points (Theil and Sen), which single peaks do not move. 0
    where there are fewer than two. Of many points, some 200 evenly chosen ones are looked at.
    """
    chosen = points[:: len(points) // _MOST_POINTS + 1]
    slopes = [(y - x) / (later - at) for (at, x), (later, y) in combinations(chosen, 2) if later != at]
    return median(slopes) if slopes else 0.0


def grown_mib(samples: Sequence[Sample]) -> float:
    """How much the API process grew over the last two thirds, by its slope."""
    if not samples:
        return 0.0
    began, ended = samples[0].at_s, samples[-1].at_s
    since = began + (ended - began) / 3
    return slope([(one.at_s, one.api_mib) for one in samples if one.at_s >= since]) * (ended - since)


def engine_peaks_mib(samples: Sequence[Sample]) -> list[float]:
    """Most memory of each engine, one after the other."""
    peaks: dict[int, float] = {}
    for one in samples:
        if one.engine_pid:
            peaks[one.engine_pid] = max(peaks.get(one.engine_pid, 0.0), one.engine_mib)
    return list(peaks.values())


def _engine_figures(engine: psutil.Process | None) -> tuple[int, float, int, int]:
    if engine is not None:
        with suppress(psutil.Error):
            return engine.pid, engine.memory_info().rss / MIB, engine.num_threads(), engine.num_fds()
    return 0, 0.0, 0, 0


def _mib(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / MIB
    except psutil.Error:
        return 0.0
