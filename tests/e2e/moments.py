"""When in a batch's life something is killed: chosen by its status as well as at random."""

import random
from dataclasses import dataclass
from itertools import chain, cycle, islice
from typing import Literal

Victim = Literal["engine", "server", "both"]
VICTIMS: tuple[Victim, ...] = ("engine", "server", "both")
ENDED = ("completed", "failed", "expired", "cancelled")
Stage = Literal["validating", "in_progress", "finalizing"]

_FIRST: tuple[Stage, ...] = ("validating", "in_progress", "finalizing")
_OTHERS: tuple[Stage, ...] = (
    "validating",
    "in_progress",
    "in_progress",
    "in_progress",
    "in_progress",
    "finalizing",
)


@dataclass(frozen=True, slots=True)
class Moment:
    """A `victim` is killed at some time from when a batch is at a stage, `most_s` seconds after that at most.

    From `finalizing` on its files are written, it ends, and its lines are removed.
    """

    stage: Stage
    victim: Victim
    most_s: float

    def has_come(self, number: int, status: str, *, goes_on: bool) -> bool | None:
        """Whether it is time; None where it will not be any more.

        `number`: of the batch's moments, from 0. `goes_on`: more lines are answered than at the last one.
        """
        match self.stage:
            case "validating":
                return True if number == 0 else None
            case "in_progress":
                return None if status in (*ENDED, "finalizing") else status == "in_progress" and goes_on
            case "finalizing":
                return status in (*ENDED, "finalizing")


def moments_of(chance: random.Random, num_moments: int, most_s: float) -> list[Moment]:
    """So many moments: all stages among the first three, later ones mostly while lines are answered.

    Only there an engine has anything to do.
    """
    stages = islice(chain(_FIRST, cycle(_OTHERS)), num_moments)
    return [
        Moment(stage, chance.choice(VICTIMS), most_s)
        if stage == "in_progress"
        else Moment(stage, chance.choice(("server", "both")), most_s / 10)
        for stage in stages
    ]
