"""Plots of growth: cost against size on logarithmic axes, where a straight line is a power and its slope the
exponent.
"""

from pathlib import Path

from benchmarks.growth import Axis, axes
from benchmarks.peers import PHISERVE, VLLM
from benchmarks.records import Results
from benchmarks.tables import growth_points


def draw_growth(results: Results, folder: Path) -> list[Path]:
    """One file for each axis that was walked."""
    drawn = [
        _draw(results, axis, folder / f"growth-{axis.name.replace(' ', '-')}.png")
        for axis in axes(short=False)
    ]
    return [file for file in drawn if file is not None]


def _draw(results: Results, axis: Axis, file: Path) -> Path | None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    plot = figure.subplots()
    lines = 0
    for peer, marker in ((PHISERVE, "o"), (VLLM, "s")):
        sizes, costs = growth_points(results, axis, peer)
        if len(sizes) > 1:
            plot.loglog(sizes, costs, marker=marker, label=peer if peer == PHISERVE else "plain vLLM")
            lines += 1
    if not lines:
        return None
    plot.set_xlabel(axis.unit)
    plot.set_ylabel(axis.cost)
    plot.grid(visible=True, which="both", alpha=0.3)
    plot.legend()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)
    return file
