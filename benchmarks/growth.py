"""Part `growth`: how cost grows with image size, images in a request, prompt length and clients: a quadratic
shows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.images import KINDS
from benchmarks.load import Closed
from benchmarks.peers import RunningPeer
from benchmarks.records import Record
from benchmarks.session import Cell, measure, warm_up
from benchmarks.workloads import Workload, images, texts


@dataclass(frozen=True, slots=True)
class Axis:
    """What grows, by which unit. `cost` is the measure that is looked at; `clients`: of each step, 1 where
    there are none.
    """

    name: str
    unit: str
    cost: str
    steps: tuple[tuple[float, Workload, int], ...]
    clients: tuple[int, ...] = ()


def axes(*, short: bool) -> tuple[Axis, ...]:
    """Steps of each axis: the size, what is sent, how many requests."""
    sizes = ("640x480", "1 MP", "4 MP", "12 MP", "24 MP")[: 3 if short else None]
    counts = (1, 2, 4) if short else (1, 2, 4, 6)
    lengths = (100, 400, 1600) if short else (100, 400, 1600, 4000)
    clients = (1, 4, 16) if short else (1, 2, 4, 8, 16, 32, 64)
    requests = 2 if short else 4
    return (
        Axis(
            "picture size",
            "megapixels",
            "cpu_api_s_per_request",
            tuple((_megapixels(kind), images(kind, answer_tokens=4), requests) for kind in sizes),
        ),
        Axis(
            "pictures in a request",
            "pictures",
            "ttft_p50_ms",
            tuple((float(count), images("640x480", count, answer_tokens=4), requests) for count in counts),
        ),
        Axis(
            "prompt length",
            "words",
            "ttft_p50_ms",
            tuple((float(words), texts(words, answer_tokens=4), requests * 2) for words in lengths),
        ),
        Axis(
            "concurrency",
            "clients",
            "itl_p50_ms",
            tuple((float(number), texts(40, answer_tokens=64), 2 * number) for number in clients),
            clients,
        ),
    )


def growth(bench: Bench) -> None:
    """Walk all axes on all peers in turn."""
    found = axes(short=bench.short)
    bench.in_turn("growth", "small", lambda server, repetition: _walk(server, repetition, found))


def _walk(server: RunningPeer, repetition: int, found: Sequence[Axis]) -> Iterator[Record]:
    first = 0
    warm_up(server, images("1 MP"))
    for axis in found:
        print(f"  {axis.name}", flush=True)
        for step, (size, workload, requests) in enumerate(axis.steps):
            clients = axis.clients[step] if axis.clients else 1
            record = measure("growth", server, Cell(workload, Closed(clients), requests, first), repetition)
            first += requests
            yield Record(
                "growth",
                server.name,
                axis.name,
                f"{size:g} {axis.unit}",
                repetition,
                {"size": size, **record.measures},
            )


def _megapixels(kind: str) -> float:
    width, height = KINDS[kind].size
    return width * height / 1e6
