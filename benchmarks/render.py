"""Request body -> engine input, measured: the same for whoever renders, in a process without an engine."""

import argparse
import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.figures import percentile

Render = Callable[[bytes], Awaitable[int]]
"""Takes a request's body and returns the bytes of pixels that the engine would be handed."""

STAGE_KINDS = ("640x480", "1 MP", "12 MP")


@dataclass(frozen=True, slots=True)
class Options:
    """`one_core`: everything on one core, for images a second *per core*."""

    kinds: tuple[str, ...]
    one_core: bool
    images: int
    repeat: int
    model: str


SEEN_AGAIN = 5
"""How much more often an image that was seen before is rendered than one alone: it takes a small part of the
time."""


def read_options(description: str) -> Options:
    """From the command line. Binds the process to one core where it is told to: before anything starts
    threads.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="", help="folder of a checkpoint")
    parser.add_argument("--kinds", nargs="+", default=list(STAGE_KINDS))
    parser.add_argument("--cores", choices=("one", "all"), default="one")
    parser.add_argument("--pictures", dest="images", type=int, default=24)
    parser.add_argument("--repeat", type=int, default=9)
    parsed = parser.parse_args()
    if parsed.cores == "one":
        os.environ["OMP_NUM_THREADS"] = "1"
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return Options(tuple(parsed.kinds), parsed.cores == "one", parsed.images, parsed.repeat, parsed.model)


async def measure_rendering(render: Render, options: Options) -> dict[str, dict[str, float]]:
    """For each kind of image: images/s of unique ones all at once, of one seen before, one alone, bytes,
    CPU.
    """
    from benchmarks.workloads import images

    found: dict[str, dict[str, float]] = {}
    for kind in options.kinds:
        count = max(4, options.images // 3) if kind in ("12 MP", "24 MP") else options.images
        workload = images(kind)
        await render(workload.body(2**19))
        bodies = workload.bodies(count)
        sizes, seconds, cpu_s = await _all_at_once(render, bodies)
        again_s = await _one_by_one(render, [bodies[-1]] * (SEEN_AGAIN * options.repeat))
        alone_s = await _one_by_one(render, workload.bodies(options.repeat, 1000))
        found[kind] = {
            "images_per_s": count / seconds,
            "cpu_ms_per_image": cpu_s / count * 1000,
            "alone_ms": alone_s * 1000,
            "bytes_to_engine": float(max(sizes)),
            "seen_images_per_s": 1 / again_s,
        }
    return found


def merge_stages(
    found: dict[str, dict[str, float]], stages: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    """Milliseconds of each stage beside the rest, as `stage_decode_ms` and the like."""
    for kind, times in stages.items():
        found[kind] |= {f"stage_{stage}_ms": value for stage, value in times.items()}
    return found


def median_ms(work: Callable[[], Any], repeat: int) -> float:
    """Median of `repeat` runs."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return percentile(times, 50)


async def _all_at_once(render: Render, bodies: Sequence[bytes]) -> tuple[list[int], float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    sizes = await asyncio.gather(*(render(body) for body in bodies))
    return list(sizes), time.perf_counter() - wall, time.process_time() - cpu


async def _one_by_one(render: Render, bodies: Sequence[bytes]) -> float:
    """Median seconds of a body, nothing else going on."""
    times = []
    for body in bodies:
        began = time.perf_counter()
        await render(body)
        times.append(time.perf_counter() - began)
    return percentile(times, 50)
