"""Outcomes against the list of differences: which failures have a reason, and which lines are out of date."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from conformance.outcomes import Outcome

LIST = Path(__file__).parent / "differences.yaml"


@dataclass(frozen=True, slots=True)
class Difference:
    """Tests (`*` stands for anything) that may fail, and why that is right. `sometimes`: chance decides
    whether they do.
    """

    suite: str
    tests: tuple[str, ...]
    reason: str
    sometimes: bool = False

    def names(self, outcome: Outcome) -> bool:
        """Whether one of the patterns is this test's."""
        return outcome.suite == self.suite and any(_matches(pattern, outcome.test) for pattern in self.tests)


@dataclass(frozen=True, slots=True)
class Comparison:
    """`unexpected`: failures without a reason. `stale`: tests that pass though listed, and patterns that no
    failure has.
    """

    reasoned: tuple[tuple[Difference, tuple[Outcome, ...]], ...]
    unexpected: tuple[Outcome, ...]
    stale: tuple[str, ...]


def read_differences() -> tuple[Difference, ...]:
    """The committed list."""
    rows = yaml.safe_load(LIST.read_text(encoding="utf-8"))
    return tuple(
        Difference(
            row["suite"], tuple(row["tests"]), " ".join(row["reason"].split()), row.get("sometimes", False)
        )
        for row in rows
    )


def compare(outcomes: Sequence[Outcome], differences: Sequence[Difference]) -> Comparison:
    """Hold what was run against the list; differences of suites that were not run are left alone."""
    failed = [outcome for outcome in outcomes if outcome.outcome == "failed"]
    relevant = [
        difference
        for difference in differences
        if difference.suite in {outcome.suite for outcome in outcomes}
    ]
    reasoned = tuple((difference, tuple(filter(difference.names, failed))) for difference in relevant)
    explained = {outcome for _, group in reasoned for outcome in group}
    certain = [difference for difference in relevant if not difference.sometimes]
    passing = [
        outcome
        for outcome in outcomes
        if outcome.outcome == "passed" and any(listed.names(outcome) for listed in certain)
    ]
    unused = [
        f"{difference.suite}: no test fails as {pattern}"
        for difference in certain
        for pattern in difference.tests
        if not any(
            outcome.suite == difference.suite and _matches(pattern, outcome.test) for outcome in failed
        )
    ]
    return Comparison(
        reasoned=reasoned,
        unexpected=tuple(outcome for outcome in failed if outcome not in explained),
        stale=(*(f"{outcome.suite}: {outcome.test} passes" for outcome in passing), *unused),
    )


def _matches(pattern: str, test: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), test, re.DOTALL) is not None
