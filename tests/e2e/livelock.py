"""A scheduler that can be made to go round without ever making a step."""

import os
from pathlib import Path

from vllm.v1.core.sched.output import SchedulerOutput

from phiserve.plugin.scheduler import PartialEncodingScheduler

LIVELOCK = "LIVELOCK_FILE"
"""Environment variable with the name of a file: while it is there, nothing is scheduled."""


class LivelockingScheduler(PartialEncodingScheduler):
    """Schedules as ours does, or nothing."""

    def schedule(self, throttle_prefills: bool = False) -> SchedulerOutput:
        """Schedule a step."""
        if Path(os.environ[LIVELOCK]).exists():
            return SchedulerOutput.make_empty()
        return super().schedule(throttle_prefills)
