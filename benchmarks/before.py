"""What a change costs: a server of this tree beside one of an earlier tree, with equal requests in turn.

usage: python -m benchmarks.before TREE [--rounds N] [--results FILE]

TREE is a checkout of this repository at another commit, run with this environment's packages. Both servers
run all the time; rounds alternate which is asked first. Ends in one JSON line with the medians of the ratios
(this tree over the other): time by the clock, and processor time of all of the server's processes.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from benchmarks.load import Closed, with_session
from benchmarks.peers import RunningPeer, demo_server, running
from benchmarks.tables import markdown
from benchmarks.workloads import Workload, images, texts

WARM_UP = 8
"""Requests before anything is measured."""


@dataclass(frozen=True, slots=True)
class Task:
    """`count` requests of a workload by `clients` at once."""

    workload: Workload
    clients: int
    count: int

    @property
    def name(self) -> str:
        """For the report."""
        return f"{self.workload.name}, {Closed(self.clients).name}"


TASKS = (
    Task(texts(answer_tokens=128), clients=1, count=6),
    Task(texts(answer_tokens=128), clients=64, count=128),
    Task(images("1 MP"), clients=1, count=8),
    Task(images("1 MP"), clients=8, count=32),
    Task(images("small PNG"), clients=32, count=96),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; 0 unless a request fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("tree", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=None)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as work, ExitStack() as stack:
        ours = demo_server()
        variables = {**ours.variables, "PYTHONPATH": str(options.tree.resolve() / "server")}
        theirs = replace(ours, variables=variables)
        peers = [
            stack.enter_context(running(launch, Path(work) / f"{name}.log"))
            for name, launch in (("now", ours), ("before", theirs))
        ]
        for peer in peers:
            _measure(peer, replace(TASKS[1], count=WARM_UP), first=0)
        ratios = {task.name: _ratios(task, peers, options.rounds) for task in TASKS}
    print(
        markdown(
            ["now over before", "time", "processor time"],
            [[n, *map(str, _two(r))] for n, r in ratios.items()],
        )
    )
    result = {name: {"time": rows[0], "cpu": rows[1]} for name, rows in ratios.items()}
    if options.results is not None:
        options.results.write_text(json.dumps(result, indent=1))
    print(json.dumps({"benchmark": "before", "medians": {name: _two(rows) for name, rows in ratios.items()}}))
    return 0


def _ratios(task: Task, peers: Sequence[RunningPeer], rounds: int) -> tuple[list[float], list[float]]:
    """Of each round: time and processor time of the first peer over the second's."""
    times: list[float] = []
    cpu: list[float] = []
    first = WARM_UP
    for number in range(rounds):
        order = peers if number % 2 else list(reversed(peers))
        measured = {peer.pid: _measure(peer, task, first) for peer in order}
        first += task.count
        now, before = (measured[peer.pid] for peer in peers)
        times.append(now[0] / before[0])
        cpu.append(now[1] / before[1])
        print(f"{task.name}: {times[-1]:.3f} {cpu[-1]:.3f}", file=sys.stderr)
    return times, cpu


def _measure(peer: RunningPeer, task: Task, first: int) -> tuple[float, float]:
    """Seconds by the clock and of the server's processors for the whole task. RuntimeError for a failure."""
    bodies = task.workload.bodies(task.count, first)
    cpu, began = _cpu_s(peer.pid), time.monotonic()
    answers = with_session(lambda session: Closed(task.clients).send(session, peer.url, bodies))
    took_s, used_s = time.monotonic() - began, _cpu_s(peer.pid) - cpu
    if failed := [answer.failure for answer in answers if not answer.succeeded]:
        raise RuntimeError(f"{len(failed)} requests failed, the first with: {failed[0]}")
    return took_s, used_s


def _cpu_s(pid: int) -> float:
    """Processor time of a process and all its descendants that run."""
    process = psutil.Process(pid)
    return sum(sum(one.cpu_times()[:2]) for one in [process, *process.children(recursive=True)])


def _two(rows: tuple[list[float], list[float]]) -> list[float]:
    return [round(statistics.median(row), 3) for row in rows]


if __name__ == "__main__":
    sys.exit(main())
