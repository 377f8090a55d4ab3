"""Part `stages`: body -> engine input without an engine, ours and plain vLLM's in turn, on one core and on
all.
"""

import sys
from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.checkpoints import blank
from benchmarks.command import environment, json_of
from benchmarks.peers import PHISERVE, plain_environment
from benchmarks.records import Record
from benchmarks.render import STAGE_KINDS

TIMEOUT_S = 600


def stage_runs(bench: Bench) -> None:
    """A B A B, each in a process of its own."""
    for repetition in range(bench.repeat):
        for peer in bench.peers:
            for cores in ("one", "all"):
                print(f"stages: {peer}, {cores} core{'s' if cores == 'all' else ''}", flush=True)
                bench.results.add(_run(bench, peer, cores, repetition))


def _run(bench: Bench, peer: str, cores: str, repetition: int) -> Iterator[Record]:
    if peer == PHISERVE:
        module, model, variables = "benchmarks.stages", blank(bench.work, "small"), environment()
    else:
        model = bench.with_code("small")
        module, variables = "benchmarks.plain_stages", plain_environment(bench.work)
    kinds = STAGE_KINDS[:2] if bench.short else STAGE_KINDS
    amount = ["--pictures", str(bench.count(24, 6)), "--repeat", str(bench.count(9, 3))]
    command = ["-m", module, "--model", str(model), "--cores", cores, *amount, "--kinds", *kinds]
    bench.results.command(
        f"stages of {peer}, {cores}", " ".join(["python", *(f"'{c}'" if " " in c else c for c in command)])
    )
    for kind, measures in json_of([sys.executable, *command], variables, TIMEOUT_S).items():
        yield Record(
            "stages", peer, kind, f"{cores} core{'s' if cores == 'all' else ''}", repetition, measures
        )
