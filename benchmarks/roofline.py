"""What the machine can do at most: memory bandwidth and matrix products in bf16 and float32, on all cores.

usage: python -m benchmarks.roofline [--repeat N] [--megabytes N]

Ends in one JSON line: gigabytes and operations a second.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch

SIDES = (512, 1024, 2048, 4096)
DTYPES = {"bf16": torch.bfloat16, "float32": torch.float32}
LONG_S = 0.5
"""A product that took so long is the largest of its kind: the next takes eight times as long."""


def best_s(work: Callable[[], Any], repeat: int) -> float:
    """The fastest of `repeat` runs, in seconds: a limit is what was reached once."""
    work()
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def bandwidth(num_bytes: int, repeat: int) -> dict[str, float]:
    """GB/s: reading (a sum), copying (read and written bytes), and a bf16 matrix times a vector, which is
    what decoding does.
    """
    source = torch.ones(num_bytes // 4, dtype=torch.float32)
    target = torch.empty_like(source)
    read_s = best_s(source.sum, repeat)
    copy_s = best_s(lambda: target.copy_(source), repeat)
    rows = num_bytes // 2 // 4096
    matrix, vector = torch.ones(rows, 4096, dtype=torch.bfloat16), torch.ones(4096, 1, dtype=torch.bfloat16)
    product_s = best_s(lambda: matrix @ vector, repeat)
    return {
        "read_gb_per_s": num_bytes / read_s / 1e9,
        "copy_gb_per_s": 2 * num_bytes / copy_s / 1e9,
        "matrix_vector_gb_per_s": rows * 4096 * 2 / product_s / 1e9,
    }


def matmul(name: str, repeat: int) -> dict[str, float]:
    """GFLOP/s of square products, by side, and the best of them."""
    found = {}
    for side in SIDES:
        left, right = torch.ones(side, side, dtype=DTYPES[name]), torch.ones(side, side, dtype=DTYPES[name])
        seconds = best_s(lambda left=left, right=right: left @ right, repeat)  # type: ignore[misc]
        found[f"{name}_matmul_{side}_gflop_per_s"] = 2 * side**3 / seconds / 1e9
        if seconds > LONG_S:
            break
    return {**found, f"{name}_matmul_gflop_per_s": max(found.values())}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--megabytes", type=int, default=1024)
    options = parser.parse_args()
    found = bandwidth(options.megabytes * 2**20, options.repeat)
    for name in DTYPES:
        found |= matmul(name, options.repeat)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
