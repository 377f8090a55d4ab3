"""Measures phiserve, plain vLLM and transformers side by side on this machine and writes RESULTS.md.

usage: make bench [ARGS="…"]     or python -m benchmarks.run [--parts text,…] [--short] [--repeat N]
[--reference-code DIR|hub]

Every part writes down what it has measured as it goes: a run that is ended loses nothing; `--report FILE`
makes a report of it. Ends in one JSON line.
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.batches import batches
from benchmarks.bench import LEAST, NO_CODE_NOTE, Bench
from benchmarks.burst import burst
from benchmarks.checkpoints import reference_code
from benchmarks.clip import clip
from benchmarks.decisions import decisions
from benchmarks.full_size import full_size, machine_limits
from benchmarks.growth import growth
from benchmarks.machine import commit, machine, versions
from benchmarks.profiles import profile
from benchmarks.records import Context, ResultsFile, read_results
from benchmarks.report import RESULTS, write_report
from benchmarks.serving import image_requests, text
from benchmarks.stage_runs import stage_runs
from benchmarks.tables import markdown, target_rows
from benchmarks.targets import TARGETS
from benchmarks.tools import tools
from benchmarks.transformers_runs import transformers_runs

PARTS: dict[str, Callable[[Bench], None]] = {
    "machine": machine_limits,
    "stages": stage_runs,
    "text": text,
    "pictures": image_requests,
    "burst": burst,
    "clip": clip,
    "decisions": decisions,
    "batch": batches,
    "transformers": transformers_runs,
    "growth": growth,
    "full": full_size,
    "profile": profile,
    "tools": tools,
}
"""In the order of a full run: what the targets need comes first."""


def main(arguments: Sequence[str]) -> int:
    """Run the chosen parts; the exit status: 1 if one of them failed."""
    options = _options(arguments)
    if options.report is not None:
        results = read_results(options.report)
        write_report(results, options.report)
        return 0
    bench = _bench(options, arguments)
    began = time.monotonic()
    failed = [name for name in options.parts if not _run(name, bench)]
    results = bench.results.results
    write_report(results, bench.results.path, report_of(bench.results.path))
    rows = target_rows(results)
    print(f"\n{markdown(['what', 'wanted', 'measured', '', 'ratio of'], rows)}")
    reached = sum(row[3] == "reached" for row in rows)
    outcome = {
        "targets": len(TARGETS),
        "reached": reached,
        "failed_parts": failed,
        "results": str(bench.results.path),
    }
    print(json.dumps({"benchmark": "run", "seconds": round(time.monotonic() - began), **outcome}))
    return 1 if failed else 0


def report_of(file: Path) -> Path:
    """A run's report is written beside the folder that its file is in: only runs that are kept here change
    RESULTS.md.
    """
    return file.resolve().parent.parent / RESULTS.name


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", type=_part_names, default=list(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument(
        "--short", action="store_true", help="few requests: shows that everything works, measures little"
    )
    parser.add_argument(
        "--share", type=float, default=1, help="of a full run's requests: for machines without AVX-512"
    )
    parser.add_argument("--repeat", type=int, help="turns of each server; 2, with --short 1")
    parser.add_argument(
        "--reference-code", default="hub", help="folder with the model repository's Python files, or hub"
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=Path.home() / ".cache" / "phiserve" / "bench",
        help="checkpoints and logs",
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=RESULTS.parent / "results",
        help="folder for the run's file; the report is written beside it",
    )
    parser.add_argument("--into", type=Path, help="add the parts to this file of a run on the same machine")
    parser.add_argument("--report", type=Path, help="only write RESULTS.md anew, from this file of a run")
    return parser.parse_args(arguments)


def _part_names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        raise argparse.ArgumentTypeError(f"there is no part {unknown[0]!r}")
    return names


def _bench(options: argparse.Namespace, arguments: Sequence[str]) -> Bench:
    """Everything that parts share. Where the reference's code is not to be had, the run goes on without those
    that need it.
    """
    began = datetime.now(UTC)
    repeat = options.repeat or (1 if options.short else 2)
    command = f"python -m benchmarks.run {shlex.join(arguments)}".strip()
    if options.into is not None:
        results = ResultsFile.go_on(options.into)
        results.note(f"{began:%Y-%m-%d %H:%M} UTC, on the same machine, commit {commit()}: `{command}`")
    else:
        results = _new_results(options, began, command, repeat)
    options.work.mkdir(parents=True, exist_ok=True)
    code = None
    try:
        code = reference_code(options.reference_code)
    except Exception as error:  # the hub's client raises many kinds
        results.note(NO_CODE_NOTE.format(reason=f"{type(error).__name__}: {str(error)[:200]}"))
    if options.share != 1:
        results.note(f"{options.share:g} of the requests were sent where there are over {LEAST} of them.")
    return Bench(results, options.work.resolve(), code, options.short, repeat, options.share)


def _new_results(options: argparse.Namespace, began: datetime, command: str, repeat: int) -> ResultsFile:
    context = Context(
        began=began.strftime("%Y-%m-%d %H:%M UTC"),
        command=command,
        options={
            "repeat": repeat,
            "short": options.short,
            "share": options.share,
            "parts": options.parts,
        },
        machine=machine(),
        versions={"commit": commit(), **versions()},
    )
    return ResultsFile(options.results / f"{began:%Y%m%d-%H%M%S}.json", context)


def _run(name: str, bench: Bench) -> bool:
    """One part; one that fails is written down and holds up no other."""
    print(f"== {name}", flush=True)
    began = time.monotonic()
    try:
        PARTS[name](bench)
    except Exception as error:
        print(f"{name} failed: {error}", file=sys.stderr, flush=True)
        bench.results.note(f"Part {name} failed: {type(error).__name__}: {str(error)[:300]}")
        return False
    print(f"== {name}: {time.monotonic() - began:.0f} s", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
