"""Numbers as Markdown tables, which read well on a terminal too."""

from collections.abc import Sequence

from benchmarks.figures import Spread, exponent, local_exponents, spread
from benchmarks.growth import Axis, axes
from benchmarks.peers import PHISERVE, VLLM
from benchmarks.records import Results
from benchmarks.targets import TARGETS, Target, divided

NOTHING = "-"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; nothing where there are no rows."""
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def number(value: float) -> str:
    """Three digits that count, or the whole number."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def with_spread(found: Spread | None) -> str:
    """Median, and in brackets from least to most where it was measured more than once."""
    if found is None:
        return NOTHING
    if found.count == 1:
        return number(found.median)
    return f"{number(found.median)} ({number(found.least)} to {number(found.most)})"


def ratio(value: float | None, *, at_most: bool = False) -> str:
    """As `1.43x`; a ratio that is to be small with a digit more."""
    if value is None:
        return NOTHING
    return f"{value:.3f}x" if at_most and value < 1 else f"{value:.2f}x"


def target_rows(results: Results) -> list[list[str]]:
    """What, how much at least or at most, measured, reached or not."""
    return [_target_row(target, target.ratio(results)) for target in TARGETS]


def _target_row(target: Target, measured: float | None) -> list[str]:
    wanted = f"{'at most' if target.at_most else 'at least'} {target.goal:g}x"
    return [
        target.name,
        wanted,
        ratio(measured, at_most=target.at_most),
        _verdict(target, measured),
        target.basis,
    ]


def _verdict(target: Target, measured: float | None) -> str:
    if measured is None:
        return "not measured"
    return "reached" if target.reached(measured) else "**not reached**"


def comparison(results: Results, part: str, measure: str, scale: float = 1.0) -> str:
    """One measure of all workloads and loads of a part: ours, plain vLLM's, ours over theirs."""
    rows = []
    for workload, load in cells_of(results, part):
        ours, theirs = (
            _scaled(results.spread_of(part, workload, load, peer, measure), scale)
            for peer in (PHISERVE, VLLM)
        )
        if ours or theirs:
            between = ratio(divided(ours.median if ours else None, theirs.median if theirs else None))
            rows.append([workload, load, with_spread(ours), with_spread(theirs), between])
    return markdown(["workload", "load", "phiserve", "plain vLLM", "ratio"], rows)


def latencies(results: Results, part: str, name: str) -> str:
    """p50, p95 and p99 in milliseconds side by side: medians over repetitions."""
    rows = []
    for workload, load in cells_of(results, part):
        row = [workload, load]
        for peer in (PHISERVE, VLLM):
            found = [
                results.median_of(part, workload, load, peer, f"{name}_p{percent}_ms")
                for percent in (50, 95, 99)
            ]
            row.append(" / ".join(NOTHING if value is None else number(value) for value in found))
        if row[2:] != [" / ".join([NOTHING] * 3)] * 2:
            rows.append(row)
    return markdown(["workload", "load", "phiserve p50 / p95 / p99", "plain vLLM p50 / p95 / p99"], rows)


def cells_of(results: Results, part: str) -> list[tuple[str, str]]:
    """Workloads and loads of a part in the order they were measured, sessions apart."""
    found = (
        (record.workload, record.load) for record in results.of_part(part) if record.workload != "session"
    )
    return list(dict.fromkeys(found))


def measures_of(results: Results, part: str, workload: str) -> str:
    """Everything that was measured of a workload, for parts with names of their own."""
    records = [record for record in results.of_part(part) if record.workload == workload]
    names = list(dict.fromkeys(name for record in records for name in record.measures))
    head = ["measure", *dict.fromkeys(f"{record.peer}, {record.load}" for record in records)]
    rows = []
    for name in names:
        cells = dict.fromkeys(head[1:], NOTHING)
        for record in records:
            found = results.spread_of(part, workload, record.load, record.peer, name)
            cells[f"{record.peer}, {record.load}"] = with_spread(found)
        rows.append([name, *cells.values()])
    return markdown(head, rows)


def growth_table(results: Results) -> str:
    """Fitted exponent over all steps, and between the last two, where a quadratic shows first."""
    rows = []
    for axis in axes(short=False):
        for peer in (PHISERVE, VLLM):
            sizes, costs = growth_points(results, axis, peer)
            if len(sizes) > 1:
                last = local_exponents(sizes, costs)[-1]
                steps = f"{number(min(sizes))} to {number(max(sizes))} {axis.unit}"
                rows.append(
                    [axis.name, peer, axis.cost, steps, f"{exponent(sizes, costs):.2f}", f"{last:.2f}"]
                )
    return markdown(["what grows", "peer", "cost", "from, to", "exponent", "at the end"], rows)


def growth_points(results: Results, axis: Axis, peer: str) -> tuple[list[float], list[float]]:
    """Sizes and median costs of one axis, smallest first; steps without a cost are left out."""
    found: dict[float, list[float]] = {}
    for record in results.of_part("growth"):
        if (record.workload, record.peer) == (axis.name, peer) and record.measures.get(axis.cost, 0) > 0:
            found.setdefault(record.measures["size"], []).append(record.measures[axis.cost])
    sizes = sorted(found)
    return sizes, [spread(found[size]).median for size in sizes]


def _scaled(found: Spread | None, scale: float) -> Spread | None:
    return found and Spread(found.median * scale, found.least * scale, found.most * scale, found.count)
