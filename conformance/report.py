"""What is told of a run: the table, and RESULTS.md."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from conformance.differences import Comparison
from conformance.outcomes import Outcome

RESULTS = Path(__file__).parent / "RESULTS.md"
_HEAD = """# Suites of others against phiserve

Written by `make conformance`, which runs their files as they were published; [README.md](README.md) says how.
"""


def counts(outcomes: Sequence[Outcome], comparison: Comparison) -> dict[str, Counter[str]]:
    """For each suite: passed, skipped, differs (with a reason), unexpected, left out."""
    unexpected = set(comparison.unexpected)
    table: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        kind = (
            "unexpected"
            if outcome in unexpected
            else {"failed": "differs"}.get(outcome.outcome, outcome.outcome)
        )
        table.setdefault(outcome.suite, Counter())[kind] += 1
    return table


def table(rows: Mapping[str, Counter[str]], versions: Mapping[str, str]) -> str:
    """As Markdown, which reads well on a terminal too."""
    lines = [
        "| suite | version | passed | differs with reason | skipped by the suite | unexpected |",
        "|---|---|---|---|---|---|",
    ]
    for suite, row in rows.items():
        numbers = " | ".join(str(row[kind]) for kind in ("passed", "differs", "skipped", "unexpected"))
        lines.append(f"| {suite} | {versions[suite]} | {numbers} |")
    return "\n".join(lines)


def write_results(outcomes: Sequence[Outcome], comparison: Comparison, versions: Mapping[str, str]) -> None:
    """RESULTS.md: the table, then each suite's differences with reasons, what it skips itself, what is left
    out of it.
    """
    rows = counts(outcomes, comparison)
    sections = [_HEAD, table(rows, versions), *(_section(suite, outcomes, comparison) for suite in rows)]
    RESULTS.write_text("\n".join(sections) + "\n", encoding="utf-8")


def _section(suite: str, outcomes: Sequence[Outcome], comparison: Comparison) -> str:
    lines = [f"\n## {suite}\n"]
    for difference, group in comparison.reasoned:
        if difference.suite == suite and group:
            lines += [f"- {difference.reason}", *(f"  - `{name}`" for name in _names(group))]
    skipped = Counter(
        _first_line(outcome.detail)
        for outcome in outcomes
        if (outcome.suite, outcome.outcome) == (suite, "skipped")
    )
    if skipped:
        lines += [
            "\nSkipped by the suite itself:\n",
            *(f"- {reason} ({number})" for reason, number in sorted(skipped.items())),
        ]
    if left_out := sum((outcome.suite, outcome.outcome) == (suite, "left out") for outcome in outcomes):
        lines.append(f"\nLeft out: {left_out} tests that ask no server.")
    return "\n".join(lines)


def _names(group: Sequence[Outcome]) -> list[str]:
    """Names of tests without their files' folders, parameters counted rather than listed."""
    numbers = Counter(
        outcome.test.partition("[")[0].rpartition("/")[2] if "::" in outcome.test else outcome.test
        for outcome in group
    )
    return [name if number == 1 else f"{name} ({number} times)" for name, number in numbers.items()]


def _first_line(text: str) -> str:
    return text.removeprefix("Skipped: ").splitlines()[0] if text else "expected to fail"
