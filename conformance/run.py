"""Runs other people's test suites, unmodified, against our server, and holds what fails against the list of
reasoned differences.

usage: make conformance [ARGS="SUITE …"]     or python -m conformance.run [SUITE …]

Exits with 1 on a failure without a reason, and on a listed difference that is none any more. Ends in one JSON
line. RESULTS.md is written when all suites have run.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence

from conformance.differences import Comparison, compare, read_differences
from conformance.environment import installed_version, prepare, stand_in_for_hub
from conformance.outcomes import Outcome, run_pytest
from conformance.report import counts, table, write_results
from conformance.schemathesis_runs import run_schemathesis
from conformance.suites import ADAPTERS, SUITES, Suite
from e2e.running import server_process


def main(names: Sequence[str]) -> int:
    """Run the named suites, or all; the exit status."""
    chosen = [suite for suite in SUITES if not names or suite.name in names]
    if not chosen:
        print(f"suites: {', '.join(dict.fromkeys(suite.name for suite in SUITES))}", file=sys.stderr)
        return 2
    began = time.monotonic()
    prepare()
    stand_in_for_hub({*ADAPTERS, *(suite.server.model for suite in chosen if "/" in suite.server.model)})
    versions = {suite.name: installed_version(suite.package) for suite in chosen}
    outcomes = _run(chosen)
    comparison = compare(outcomes, read_differences())
    if len(chosen) == len(SUITES):
        write_results(outcomes, comparison, versions)
    _tell(outcomes, comparison, versions, time.monotonic() - began)
    return 1 if comparison.unexpected or comparison.stale else 0


def _run(chosen: Sequence[Suite]) -> list[Outcome]:
    """One server at a time, for all suites that want the same."""
    outcomes: list[Outcome] = []
    for server in dict.fromkeys(suite.server for suite in chosen):
        with server_process("--served-model-name", server.model, **dict(server.settings)) as running:
            running.wait_until_ready()
            for suite in chosen:
                if suite.server == server:
                    outcomes += _run_one(suite, running.url)
    return outcomes


def _run_one(suite: Suite, url: str) -> list[Outcome]:
    """Run one suite and say how it went."""
    print(
        f"{suite.name}: {', '.join(file.rsplit('/', 1)[-1] for file in suite.files)}", end=" … ", flush=True
    )
    began = time.monotonic()
    outcomes = run_schemathesis(suite, url) if suite.package == "schemathesis" else run_pytest(suite, url)
    numbers = Counter(outcome.outcome for outcome in outcomes)
    told = ", ".join(f"{number} {kind}" for kind, number in numbers.items())
    print(f"{told} in {time.monotonic() - began:.0f} s", flush=True)
    return outcomes


def _tell(
    outcomes: Sequence[Outcome], comparison: Comparison, versions: dict[str, str], seconds: float
) -> None:
    rows = counts(outcomes, comparison)
    for outcome in comparison.unexpected:
        print(f"\nunexpected: {outcome.suite}: {outcome.test}\n{outcome.detail[:1000]}")
    for line in comparison.stale:
        print(f"\nout of date: {line}")
    print(f"\n{table(rows, versions)}\n")
    print(json.dumps({"seconds": round(seconds), "stale": len(comparison.stale), "suites": rows}))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
