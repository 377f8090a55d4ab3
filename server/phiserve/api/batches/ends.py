"""How often engines may end over requests of batches, so that these never end the server."""

import logging
import time
from collections.abc import Callable

_LOG = logging.getLogger(__name__)

PERIOD_S = 630.0
"""Seconds after which an end is forgotten: a little more than the supervisor's `RESTART_WINDOW_S`."""


class EngineEnds:
    """Engines that ended while requests of batches were under way.

    `most` of them in `PERIOD_S`: no request of a batch should begin then until the first one is forgotten.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = max(1, most)
        self._clock = clock
        self._ended_at: dict[int, float] = {}

    def add(self, engine: int) -> None:
        """An engine has ended, which each of the requests that were under way tells."""
        if engine in self._ended_at:
            return
        self._ended_at[engine] = self._clock()
        if self.must_wait:
            wait_s = PERIOD_S - (self._clock() - min(self._ended_at.values()))
            _LOG.warning(
                "Engines ended %d times over requests of batches: none begins for %.0f s", self._most, wait_s
            )

    @property
    def must_wait(self) -> bool:
        """Whether no request of a batch should begin now."""
        oldest = self._clock() - PERIOD_S
        self._ended_at = {engine: at for engine, at in self._ended_at.items() if at > oldest}
        return len(self._ended_at) >= self._most
