"""RESULTS.md, written from a run's file and from nothing else."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.batches import PART as BATCH_PART
from benchmarks.burst import REAL, SMALL
from benchmarks.decisions import PART as DECISIONS_PART
from benchmarks.plots import draw_growth
from benchmarks.records import Results
from benchmarks.tables import (
    cells_of,
    comparison,
    growth_table,
    latencies,
    markdown,
    measures_of,
    target_rows,
)
from benchmarks.transformers_runs import NAME

RESULTS = Path(__file__).parent / "RESULTS.md"
PLOTS = "plots"
_HEAD = """# Speed, measured side by side

Written by `make bench` from {file}; [README.md](README.md) says what is measured and how. Ratios are
phiserve's figure over the other's in the same run. Figures are medians over the turns that each server had,
least and most in brackets where it had several.
"""
_MEASURES: Sequence[tuple[str, str, float]] = (
    ("Requests a second", "requests_per_s", 1),
    ("Output tokens a second", "output_tokens_per_s", 1),
    ("CPU of the API process, ms a request", "cpu_api_s_per_request", 1000),
    ("CPU of the engine's process, ms a request", "cpu_engine_s_per_request", 1000),
    ("CPU of the engine's worker process, ms a request", "cpu_worker_s_per_request", 1000),
    ("CPU of all processes, ms a request", "cpu_all_s_per_request", 1000),
    ("CPU of the API process, µs a token", "cpu_api_us_per_token", 1),
    ("CPU of all processes, µs a token", "cpu_all_us_per_token", 1),
    ("Bytes to the engine for each picture that was sent, MB", "bytes_per_picture", 1e-6),
    ("Share of look-ups that the picture cache answered", "picture_cache_hit_rate", 1),
    ("Share of prompt tokens that the prefix cache answered", "prefix_cache_hit_rate", 1),
    ("Requests that failed", "failed", 1),
)
_SERVED = {
    "text": "Text, small checkpoint",
    "pictures": "Pictures, small checkpoint (one layer of CLIP)",
    "clip": "Pictures, CLIP's real 23 layers",
}


def write_report(results: Results, file: Path, target: Path = RESULTS) -> None:
    """Write a report, and its plots beside it. `file`: the run's own, named in it."""
    sections = [
        _HEAD.format(file=f"`{file.name}`"),
        _targets(results),
        _context(results),
        *(_served(results, part, title) for part, title in _SERVED.items()),
        _own_tables(results, SMALL, "Text streams during a burst of pictures"),
        _own_tables(results, REAL, "The same with CLIP's real 23 layers"),
        _own_tables(results, DECISIONS_PART, "Questions about pictures, as decisions and as chats"),
        _own_tables(results, BATCH_PART, "Files of requests as batches, and by clients"),
        _stages(results),
        _own_tables(results, NAME, "Against transformers' generate"),
        _growth(results, target),
        _own_tables(results, "machine", "The machine's limits"),
        _own_tables(results, "full", "The real model's size, phiserve alone"),
        _own_tables(results, "profile", "Where the time goes: samples of main threads"),
        _sessions(results),
        _own_tables(results, "tools", "Load tools of others, unmodified"),
        _commands(results),
    ]
    target.write_text("\n".join(section for section in sections if section), encoding="utf-8")


def _targets(results: Results) -> str:
    head = ["what", "wanted", "measured", "", "ratio of"]
    return f"## Targets\n\n{markdown(head, target_rows(results))}"


def _context(results: Results) -> str:
    context = results.context
    rows = [["began", context.began], *([name, value] for name, value in context.machine.items())]
    rows.append(["versions", ", ".join(f"{name} {value}" for name, value in context.versions.items())])
    rows.append(["command", f"`{context.command}`"])
    notes = "".join(f"- {note}\n" for note in results.notes)
    return f"## Machine, versions, command\n\n{markdown(['', ''], rows)}" + (f"\n{notes}" if notes else "")


def _served(results: Results, part: str, title: str) -> str:
    """Rates and CPU measure by measure, then latencies."""
    if not cells_of(results, part):
        return ""
    parts = [f"## {title}\n"]
    for name, measure, scale in _MEASURES:
        if table := comparison(results, part, measure, scale):
            parts.append(f"### {name}\n\n{table}")
    for name, measure in (("Time to the first token, ms", "ttft"), ("Between tokens, ms", "itl")):
        if table := latencies(results, part, measure):
            parts.append(f"### {name}\n\n{table}")
    return "\n".join(parts)


def _stages(results: Results) -> str:
    if not cells_of(results, "stages"):
        return ""
    tables = (
        f"### {name}\n\n{comparison(results, 'stages', measure, scale)}"
        for name, measure, scale in (
            ("Images a second, unique", "images_per_s", 1),
            ("Images a second, seen before", "seen_images_per_s", 1),
            ("One image alone, ms", "alone_ms", 1),
            ("CPU, ms an image", "cpu_ms_per_image", 1),
            ("Bytes to the engine, MB", "bytes_to_engine", 1e-6),
        )
    )
    return "\n".join(
        [
            "## From body to engine input, without an engine\n",
            *tables,
            _own_tables(results, "stages", "", level=3),
        ]
    )


def _own_tables(results: Results, part: str, title: str, level: int = 2) -> str:
    """Everything that a part measured, a table for each workload."""
    workloads = list(dict.fromkeys(workload for workload, _ in cells_of(results, part)))
    if not workloads:
        return ""
    head = [f"{'#' * level} {title}\n"] if title else []
    return "\n".join(
        [*head, *(f"{'#' * (level + 1)} {name}\n\n{measures_of(results, part, name)}" for name in workloads)]
    )


def _growth(results: Results, target: Path) -> str:
    table = growth_table(results)
    if not table:
        return ""
    files = draw_growth(results, target.parent / PLOTS)
    images = "\n".join(f"![{file.stem}]({file.relative_to(target.parent)})" for file in files)
    return f"## Growth\n\nCost ~ size^exponent: 1 is linear, 2 quadratic.\n\n{table}\n{images}\n"


def _sessions(results: Results) -> str:
    """Time to ready and memory of each part's servers."""
    tables = [
        f"### {part}\n\n{measures_of(results, part, 'session')}"
        for part in dict.fromkeys(record.part for record in results.records if record.workload == "session")
    ]
    return (
        "\n".join(["## Servers as a whole: seconds to ready, bytes resident at most\n", *tables])
        if tables
        else ""
    )


def _commands(results: Results) -> str:
    rows = [[name, f"`{command.replace('|', chr(92) + '|')}`"] for name, command in results.commands.items()]
    return f"## Commands\n\n{markdown(['what', 'command'], rows)}" if rows else ""
