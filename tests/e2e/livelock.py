"""A scheduler that can be made to go round without ever making a step, or to fail."""

import os
from pathlib import Path

from vllm.v1.core.sched.output import SchedulerOutput

from phiserve.plugin.scheduler import PartialEncodingScheduler

LIVELOCK = "LIVELOCK_FILE"
"""Environment variable with the name of a file: while it is there, nothing is scheduled.

What it holds is raised as an exception.
"""


class LivelockingScheduler(PartialEncodingScheduler):
    """Schedules as ours does, or nothing, or raises RuntimeError."""

    def schedule(self, throttle_prefills: bool = False) -> SchedulerOutput:
        """Schedule a step."""
        file = Path(os.environ[LIVELOCK])
        if file.exists():
            if said := file.read_text():
                raise RuntimeError(said)
            return SchedulerOutput.make_empty()
        return super().schedule(throttle_prefills)
