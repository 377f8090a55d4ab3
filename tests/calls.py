"""Counts of function calls, seen by Python's profiler: nothing is replaced for a count's sake."""

import cProfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path


def calls_of(work: Callable[[], object]) -> Counter[str]:
    """How often each function was called in this thread while `work` ran.

    Functions written in Python are named after their file and their class (`jpeg.take_apart`), others as the
    profiler has them (`<built-in method zlib.crc32>`).
    """
    profile = cProfile.Profile()
    profile.runcall(work)
    counts: Counter[str] = Counter()
    for entry in profile.getstats():
        code = entry.code
        name = code if isinstance(code, str) else f"{Path(code.co_filename).stem}.{code.co_qualname}"
        counts[name] += entry.callcount
    return counts
