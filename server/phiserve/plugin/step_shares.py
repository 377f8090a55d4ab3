"""How steps are shared between owners: a flood of one takes a third of the time that another's answer runs.

A step takes as long as all that is in it. Where the work of few owners makes most of a step, their work is
left out of twice the time that it has taken, and the others' steps are short meanwhile. Where owners ask for
about the same, all are in every step, because large batches are what makes an engine fast.
"""

from collections.abc import Mapping

from phiserve.turns import Line

STEP_WEIGHT = 8.0
"""What a step costs whatever is in it, in sequences: below that, leaving work out gains nothing."""

LEAD_S = 0.1
"""Seconds that others have to themselves when they arrive beside a flood: enough for a short answer."""

HEAVY_COUNTS = 2
"""Times that a step with heavy work in it counts. With once, short requests beside a flood took
2.0 to 2.6 times as long as alone (benchmarks.fairness, two cores): a flood takes time outside steps, too."""

BATCH_COUNTS = 4
"""Times that a step with batch work in it counts: such work gets a fifth of the time beside interactive work,
and all of it otherwise."""


class StepShares:
    """Decides for each step who is left out of it, and counts what it took."""

    def __init__(self) -> None:
        self._lead_s = 0.0  # seconds that heavy work had before the others
        self._counts = 1

    def left_out(self, weights: Mapping[Line, float]) -> frozenset[Line]:
        """The lines left out of the next step, given what each would add to it, in sequences.

        Never all of them. Each call must be followed by one of `took`.
        """
        heavy = _heavy(weights)
        leaves_out = bool(heavy) and self._lead_s > 0
        has_batch = not leaves_out and any(line.priority > 0 for line in heavy)
        self._counts = _counts(leaves_out, has_batch)
        return heavy if leaves_out else frozenset()

    def took(self, seconds: float) -> None:
        """Count the step. 0 seconds: nothing could be done in it. Then nobody is left out of the next."""
        if self._counts < 0:
            self._lead_s = self._lead_s - seconds if seconds else 0.0
        else:
            self._lead_s = min(self._lead_s, LEAD_S) + self._counts * seconds


def _counts(leaves_out: bool, has_batch: bool) -> int:
    if leaves_out:
        return -1
    return BATCH_COUNTS if has_batch else HEAVY_COUNTS


def _heavy(weights: Mapping[Line, float]) -> frozenset[Line]:
    """The lines whose work makes steps long for others: batch work, and owners of most of a step."""
    interactive = {line: weight for line, weight in weights.items() if line.priority <= 0}
    if not interactive:
        return frozenset()
    batch = weights.keys() - interactive.keys()
    average = sum(interactive.values()) / len(interactive)
    above = {line for line, weight in interactive.items() if weight > average}
    most = sum(interactive[line] for line in above)
    rest = sum(interactive.values()) - most
    return frozenset(batch | above if most > 2 * rest + STEP_WEIGHT and rest else batch)
