"""Kills engine and server at moments of each stage of batches, and counts the lines in the end.

usage: python -m conformance.batch_chaos [--moments 30] [--lines 1000] [--seed 1]

Ends in one JSON line. Raises AssertionError, with the batch, where a line is lost, answered twice, or an
error that it would not be without all that.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from e2e.chaos import Chaos
from e2e.moments import Moment, moments_of

MOST_S = 2.0
"""Longest time from when lines are answered again to the next moment; a tenth of it elsewhere."""


def main(arguments: Sequence[str]) -> int:
    """Run one batch after the other until all moments are used."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--moments", type=int, default=30)
    parser.add_argument("--lines", type=int, default=1000, help="of each batch")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    began, chance = time.monotonic(), random.Random(options.seed)  # noqa: S311 - moments, not secrets
    moments = moments_of(chance, options.moments, MOST_S)
    with tempfile.TemporaryDirectory(prefix="phiserve-chaos-") as folder:
        chaos = Chaos({"PHISERVE_STATE_URL": f"sqlite:///{Path(folder, 'state.db')}"}, chance)
        try:
            num_batches = _run(chaos, moments, options.lines)
        finally:
            chaos.end()
    outcome = {
        "moments": len(chaos.killed),
        "killed": dict(Counter(chaos.killed)),
        "while": dict(Counter(chaos.found)),
        "batches": num_batches,
        "lines": num_batches * options.lines,
        "seconds": round(time.monotonic() - began),
    }
    print(json.dumps({"conformance": "batch_chaos", **outcome}))
    return 0


def _run(chaos: Chaos, moments: Sequence[Moment], num_lines: int) -> int:
    """How many batches it took."""
    num_batches = num_killed = 0
    while num_killed < len(moments):
        batch_id = chaos.begin(num_lines)
        num_killed += chaos.disturb(batch_id, moments[num_killed:])
        chaos.check(chaos.ended(batch_id), num_lines)
        num_batches += 1
        print(f"batch {num_batches}: {num_killed} of {len(moments)} moments", flush=True)
    return num_batches


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
