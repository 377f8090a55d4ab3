"""What a traced request carries on its way: the context of its trace, and how long parts of the work took.

No OpenTelemetry in here: it is imported only where traces are exported.
"""

import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the work on a request. Times are `time.monotonic()`'s, in seconds."""

    name: str
    began_at: float
    ended_at: float


@dataclass(slots=True)
class Trace:
    """A request's trace. `headers` are W3C Trace Context's, for whoever works on the request further on."""

    headers: Mapping[str, str]
    steps: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Note how long the block takes, also if it fails."""
        began_at = time.monotonic()
        try:
            yield
        finally:
            self.steps.append(Step(name, began_at, time.monotonic()))

    def timed(
        self, name: str, work: Callable[[], Awaitable[_Result]]
    ) -> Callable[[], Coroutine[object, object, _Result]]:
        """The same work, a step of the request whenever it is done."""

        async def run() -> _Result:
            with self.step(name):
                return await work()

        return run


def step(trace: Trace | None, name: str) -> AbstractContextManager[None]:
    """A step of a trace if there is one."""
    return nullcontext() if trace is None else trace.step(name)
