"""What a soak came to: checks, a JSON file, and a graph."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import percentile
from benchmarks.records import Context
from benchmarks.soak_fates import ANSWERED, FATES, LEFT, REFUSED, TOLD, VIOLATION, Fate
from benchmarks.soak_samples import Sample, engine_peaks_mib, grown_mib
from benchmarks.tables import markdown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPARE = 4
"""Threads and descriptors that may be there besides those before: pools fill up to their bounds."""

MOST_GROWTH_MIB = 64.0
"""Over the last two thirds, by the slope. Each new engine leaves a few MiB of the allocator's."""

MOST_ENGINE_GROWTH = 1.1
"""Most memory of the last engine, to that of the one before it."""

BIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Soak:
    """Everything that was seen. `deaths_s`: when the engine was killed, `recoveries_s`: seconds until the
    server was ready again; `before` and `after`: the server at rest; `opened`: kinds of descriptors that its
    API process has more of afterwards, or fewer; `counted`: its own metrics.
    """

    context: Context
    samples: Sequence[Sample]
    fates: Sequence[Fate]
    begun: int
    deaths_s: Sequence[float]
    recoveries_s: Sequence[float]
    kills: int
    before: Sample
    after: Sample
    opened: dict[str, int]
    counted: dict[str, float]

    @property
    def checks(self) -> dict[str, bool]:
        """What must hold -> whether it did."""
        peaks = engine_peaks_mib(self.samples)
        return {
            "no violations": not any(fate.fate == VIOLATION for fate in self.fates),
            "every request has a fate": len(self.fates) == self.begun,
            "the engine came back each time": len(self.recoveries_s) == self.kills,
            "no request left in the engine": self.after.unfinished == 0,
            "threads": self.after.api_threads <= self.before.api_threads + SPARE,
            "descriptors": self.after.api_descriptors <= self.before.api_descriptors + SPARE,
            "processes": self.after.others <= self.before.others,
            "memory of the API process": grown_mib(self.samples) <= MOST_GROWTH_MIB,
            "memory of the engines": len(peaks) < 2 or peaks[-1] <= MOST_ENGINE_GROWTH * peaks[-2],
        }

    def told(self) -> dict[str, object]:
        """For the file. Samples are columns; fates are counted."""
        reasons = Counter((fate.kind, fate.fate, fate.status, fate.reason) for fate in self.fates)
        return {
            **asdict(self.context),
            "checks": self.checks,
            "requests": self.begun,
            "fates": dict(Counter(fate.fate for fate in self.fates)),
            "reasons": [[*reason, count] for reason, count in sorted(reasons.items())],
            "violations": [asdict(fate) for fate in self.fates if fate.fate == VIOLATION],
            "deaths_s": self.deaths_s,
            "recoveries_s": self.recoveries_s,
            "grown_mib": grown_mib(self.samples),
            "engine_peaks_mib": engine_peaks_mib(self.samples),
            "before": asdict(self.before),
            "after": asdict(self.after),
            "opened": self.opened,
            "counted": {name: value for name, value in self.counted.items() if _is_kept(name)},
            "samples": {
                one.name: [round(getattr(entry, one.name), 1) for entry in self.samples]
                for one in fields(Sample)
            },
        }


def write_soak(soak: Soak, file: Path, graph: Path) -> None:
    """Write the JSON file and the graph, and print the tables."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(soak.told(), indent=1), encoding="utf-8")
    draw_soak(soak, graph)
    print(fates_table(soak.fates))
    print(markdown(["check", "held"], [[name, str(held)] for name, held in soak.checks.items()]))


def fates_table(fates: Sequence[Fate]) -> str:
    """Kinds of requests by what became of them, and how long they took."""
    rows = []
    for kind in sorted({fate.kind for fate in fates}):
        own = [fate for fate in fates if fate.kind == kind]
        counts = Counter(fate.fate for fate in own)
        seconds = [fate.seconds for fate in own]
        times = [f"{percentile(seconds, percent):.1f}" for percent in (50, 99)]
        rows.append([kind, str(len(own)), *(str(counts[fate]) for fate in FATES), *times])
    return markdown(["kind", "requests", *FATES, "median s", "p99 s"], rows)


def draw_soak(soak: Soak, file: Path) -> None:
    """Four panels over time: memory, threads and descriptors, requests in the engine, fates."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 9), layout="constrained")
    panels: list[Axes] = list(figure.subplots(4, 1, sharex=True))
    minutes = [one.at_s / 60 for one in soak.samples]
    lines = (
        {
            "API process, MiB": "api_mib",
            "engine, MiB": "engine_mib",
            "others, MiB": "others_mib",
        },
        {
            "API process, threads": "api_threads",
            "API process, descriptors": "api_descriptors",
            "engine, threads": "engine_threads",
        },
        {"requests in the engine": "unfinished"},
    )
    for panel, named in zip(panels, lines, strict=False):
        for label, name in named.items():
            panel.plot(minutes, [getattr(one, name) for one in soak.samples], label=label, linewidth=1)
    _draw_fates(panels[3], soak.fates)
    for panel in panels:
        for death_s in soak.deaths_s:
            panel.axvline(death_s / 60, color="black", linewidth=0.8, linestyle=":")
        panel.set_ylim(bottom=0)
        panel.grid(visible=True, alpha=0.3)
        panel.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8)
    panels[3].set_xlabel("minutes; dotted lines: the engine's process is killed")
    file.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "soak"}):
        figure.savefig(file, metadata={"Date": None})


def _draw_fates(panel: "Axes", fates: Sequence[Fate]) -> None:
    """Requests by what became of them, in bins of their ends."""
    shown = (ANSWERED, LEFT, REFUSED, TOLD, VIOLATION)
    ends = [[(one.at_s + one.seconds) / 60 for one in fates if one.fate == fate] for fate in shown]
    last = max((end for times in ends for end in times), default=0.0)
    edges = [BIN_S / 60 * number for number in range(int(last * 60 / BIN_S) + 2)]
    panel.hist(
        ends,
        edges,
        stacked=True,
        label=[f"{fate} ({len(times)})" for fate, times in zip(shown, ends, strict=True)],
    )
    panel.set_ylabel(f"requests in {BIN_S:g} s")


def _is_kept(name: str) -> bool:
    return name.startswith("phiserve_") and not name.endswith(("_created", "_bucket"))
