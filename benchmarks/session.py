"""One workload under one load on a running server: everything that is measured of it, as one record."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import metrics
from benchmarks.answers import failures, summary
from benchmarks.load import Answer, Closed, Load, send
from benchmarks.peers import RunningPeer
from benchmarks.processes import ROLES, cpu_seconds, use
from benchmarks.records import Record
from benchmarks.workloads import Workload

WARM_UP_NUMBER = 2**19
"""Numbers from here on are drawn for warming up and never measured."""

STRIDE = 1000
"""Numbers that a cell has to itself; a whole number of rounds of conversations."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A workload under a load, with how many requests. `first`: their first number; no two cells share any,
    for the caches.
    """

    workload: Workload
    load: Load
    requests: int
    first: int


def cells(plan: Sequence[tuple[Workload, Load, int]]) -> list[Cell]:
    """Cells whose requests share no numbers."""
    return [
        Cell(workload, load, requests, index * STRIDE)
        for index, (workload, load, requests) in enumerate(plan)
    ]


def warm_up(server: RunningPeer, workload: Workload, number: int = 0) -> None:
    """One request, so that nothing that is done once is measured."""
    send(Closed(1), server.url, [workload.body(WARM_UP_NUMBER + number)])


def measure(part: str, server: RunningPeer, cell: Cell, repetition: int) -> Record:
    """Send a cell's requests. Bodies are made before the clock starts."""
    bodies = cell.workload.bodies(cell.requests, cell.first)
    used, counted = use(server.pid), metrics.read(server.url)
    answers = send(cell.load, server.url, bodies)
    measures = summary(answers)
    seconds = cpu_seconds(used, use(server.pid))
    measures |= shares(seconds, answers)
    measures |= images_and_caches(metrics.change(counted, metrics.read(server.url)))
    for failure in failures(answers):
        print(f"  {part}, {server.name}, {cell.workload.name}: {failure}", flush=True)
    return Record(part, server.name, cell.workload.name, cell.load.name, repetition, measures)


def shares(seconds: dict[str, float], answers: Sequence[Answer]) -> dict[str, float]:
    """CPU seconds of each role, for each request and for each token that was answered."""
    requests = max(1, sum(answer.succeeded for answer in answers))
    tokens = max(1, sum(answer.tokens for answer in answers))
    measures = {f"cpu_{role}_s_per_request": seconds[role] / requests for role in ROLES}
    measures |= {f"cpu_{role}_us_per_token": seconds[role] / tokens * 1e6 for role in ROLES}
    measures["cpu_all_s_per_request"] = sum(seconds.values()) / requests
    measures["cpu_all_us_per_token"] = sum(seconds.values()) / tokens * 1e6
    return measures


def images_and_caches(counted: dict[str, float]) -> dict[str, float]:
    """What the server counted; bytes for each image that was sent to the engine, and the share of look-ups
    that hit.
    """
    measures = {f"counted_{name}": value for name, value in counted.items()}
    if sent := counted.get("pictures_sent"):
        measures["bytes_per_picture"] = counted["picture_bytes_sent"] / sent
    for cache in ("prefix_cache", "picture_cache"):
        if queries := counted.get(f"{cache}_queries"):
            measures[f"{cache}_hit_rate"] = counted[f"{cache}_hits"] / queries
    return measures
