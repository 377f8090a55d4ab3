"""Parts `text` and `pictures`: requests to the small checkpoint, where the engine has little to compute and
the rest shows.
"""

from collections.abc import Iterator, Sequence

from benchmarks.bench import Bench
from benchmarks.load import Closed, Load, Open
from benchmarks.peers import RunningPeer
from benchmarks.records import Record
from benchmarks.session import cells, measure, warm_up
from benchmarks.workloads import CONVERSATIONS, Workload, images, mixed, repeated, texts

Plan = Sequence[tuple[Workload, Load, int]]


def text(bench: Bench) -> None:
    """Text alone: closed loop at 1, 4, 16 and 64 clients, open loop at two rates."""
    serve("text", bench, "small", text_plan(bench))


def image_requests(bench: Bench) -> None:
    """Images of all sizes, one and four of them, cheap ones, ones seen before, and a mix with long texts."""
    serve("pictures", bench, "small", image_plan(bench))


def serve(
    part: str, bench: Bench, checkpoint: str, plan: Plan, warm_with: Sequence[Workload] | None = None
) -> None:
    """Measure a plan on all peers in turn. `warm_with`: what each is asked once before; if None, each of the
    plan's workloads.
    """
    warming = warm_with or tuple({workload.name: workload for workload, _, _ in plan}.values())

    def work(server: RunningPeer, repetition: int) -> Iterator[Record]:
        """Warm up, then cell by cell."""
        for number, workload in enumerate(warming):
            warm_up(server, workload, number)
        for cell in cells(plan):
            print(f"  {cell.workload.name}, {cell.load.name}", flush=True)
            yield measure(part, server, cell, repetition)

    bench.in_turn(part, checkpoint, work)


def text_plan(bench: Bench) -> Plan:
    """Enough requests that a cell takes some seconds."""
    workload = texts(answer_tokens=bench.count(128, 32))
    closed = {1: bench.count(12, 2), 4: bench.count(32, 4), 16: bench.count(96, 16), 64: bench.count(256, 64)}
    plan: list[tuple[Workload, Load, int]] = [
        (workload, Closed(clients), count) for clients, count in closed.items()
    ]
    rates = {4.0: bench.count(60, 6), 12.0: bench.count(180, 12)}
    return plan + [(workload, Open(rate), count) for rate, count in rates.items()]


def image_plan(bench: Bench) -> Plan:
    """Photos take the engine about half a second each, even with one layer of CLIP: few requests."""
    photo = images("1 MP")
    plan: list[tuple[Workload, Load, int]] = [
        (photo, Closed(1), bench.count(6, 2)),
        (photo, Closed(4), bench.count(12, 4)),
        (photo, Closed(16), bench.count(24, 4)),
        (images("1 MP", detail="low"), Closed(16), bench.count(48, 4)),
        (repeated(), Closed(4), 5 * CONVERSATIONS),
    ]
    if bench.short:
        return plan
    return [
        *plan,
        (photo, Closed(64), 64),
        (images("12 MP"), Closed(1), 4),
        (images("12 MP"), Closed(4), 8),
        (images("12 MP"), Closed(16), 16),
        (images("small PNG"), Closed(16), 24),
        (images("1 MP", count=4), Closed(4), 8),
        (mixed(), Closed(16), 36),
        (photo, Open(0.5), 10),
        (photo, Open(1.0), 20),
    ]
