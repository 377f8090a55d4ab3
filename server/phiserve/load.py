"""What the server has taken on, and how fast it gets done: who is admitted, and when to come again."""

import math
import time
from collections import Counter, deque
from collections.abc import Callable
from weakref import WeakSet

from prometheus_client import Counter as Metric
from prometheus_client import Gauge

from phiserve.errors import InvalidRequest, Overloaded
from phiserve.turns import BATCH, Line, holder_of, may_hold, most_held

REFUSED = Metric("phiserve_queue_refused", "Requests refused because too much was waiting.", ["reason"])
EXPECTED_WAIT = Gauge("phiserve_queue_seconds", "Seconds that the last request was expected to wait.")

RATE_WINDOW_S = 60.0
"""Seconds, of those in which requests waited, over which the rate is measured."""

LEAST_MEASURED_S = 1.0
"""Before so many seconds of waiting no rate is known."""

LONGEST_RETRY_S = 60
"""Longest time that clients are told to wait: the openai client does not honour more."""


class Place:
    """A request's room among all unfinished ones, until it has ended or nobody holds it.

    `sequences`: how many the engine runs for it. `cost`: its work in tokens, prompt and expected answer; 0
    until it is known.
    """

    __slots__ = ("__weakref__", "_load", "cost", "line", "sequences")

    def __init__(self, load: "Load", line: Line, sequences: int) -> None:
        self._load: Load | None = load
        self.line = line
        self.sequences = sequences
        self.cost = 0

    def leave(self, *, done: bool = False) -> None:
        """The request has ended: another may come in. `done`: with all its work done."""
        if self._load is not None:
            self._load.left(self, done=done)
            self._load = None

    def __del__(self) -> None:
        """Nobody holds it any more: the request was never sent."""
        self.leave()


class Load:
    """All unfinished requests.

    `running`: sequences that the engine runs at once. `unfinished`: sequences that may run or wait, all
    together; one owner has a share of them. `max_queue_s`: interactive requests that would have to wait
    longer are refused.
    """

    def __init__(
        self,
        running: int,
        unfinished: int,
        max_queue_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._running = running
        self._unfinished = unfinished
        self._most = most_held(unfinished)
        self._max_queue_s = max_queue_s
        self._places: WeakSet[Place] = WeakSet()
        self._by_holder: Counter[Line] = Counter()
        self._held = 0
        self._rate = _Rate(clock)

    @property
    def most(self) -> int:
        """Most sequences that one request may have."""
        return self._most

    @property
    def interactive_waits(self) -> bool:
        """Whether there are more sequences that somebody waits for than run at once."""
        return self._held - self._by_holder[holder_of(BATCH)] > self._running

    @property
    def is_empty(self) -> bool:
        """Whether there is no unfinished request."""
        return not self._held

    def check(self, sequences: int, param: str) -> None:
        """Raises InvalidRequest, which names `param`, for more sequences than there ever is room for."""
        if sequences > self._most:
            raise InvalidRequest(f"this server runs at most {self._most} choices at once", param=param)

    def enter(self, line: Line, sequences: int) -> Place:
        """Room for a request, before anything of it is read.

        Raises Overloaded with the time after which there will be some, InvalidRequest for more sequences
        than there ever is room for: a 429 would make clients retry for ever.
        """
        self.check(sequences, "n")
        held = self._held
        expected_s = self._expected_wait_s(line, held)
        EXPECTED_WAIT.set(expected_s)
        if held + sequences > self._unfinished:
            raise _refused("full", "Too many unfinished requests", expected_s)
        if not may_hold(self._by_holder, line, sequences, self._unfinished):
            whose = "of yours" if line.priority <= 0 else "of batch work"
            raise _refused("owner", f"Too many unfinished requests {whose}", expected_s)
        if line.priority <= 0 and expected_s > self._max_queue_s:
            reason = f"Requests would wait longer than {self._max_queue_s:g} s"
            raise _refused("seconds", reason, expected_s - self._max_queue_s)
        place = Place(self, line, sequences)
        self._places.add(place)
        self._hold(line, sequences)
        return place

    def left(self, place: Place, *, done: bool) -> None:
        """A request has ended, with all its work `done` or not."""
        if done:
            self._rate.count(place.cost)
        self._places.discard(place)
        self._hold(place.line, -place.sequences)

    def _hold(self, line: Line, more: int) -> None:
        """Count `more` sequences of a line, or fewer where it is below zero."""
        holder = holder_of(line)
        self._held += more
        self._by_holder[holder] += more
        if not self._by_holder[holder]:
            del self._by_holder[holder]
        self._rate.tick(waits=self._held > self._running)

    def _expected_wait_s(self, line: Line, held: int) -> float:
        """Seconds until a request that comes now would begin; 0 where that is not known.

        What waits is the part of all work that is beyond the places to run in. Batch work is before nobody
        else. Owners take turns: before a request there is no more than so many times its owner's own work as
        there are owners.
        """
        if held < self._running or not (rate := self._rate.per_second()):
            return 0.0
        before = [place for place in self._places if place.line.priority <= max(0, line.priority)]
        total = sum(place.cost for place in before)
        if line.priority <= 0:
            owners = {place.line.owner for place in before} | {line.owner}
            own = sum(place.cost for place in before if place.line.owner == line.owner)
            total = min(total, own * len(owners))
        return total * (1 - self._running / (held + 1)) / rate


class _Rate:
    """Work done a second while requests waited: otherwise it would be the rate of arrivals."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waits = False
        self._at = clock()
        self._waited_s = 0.0
        self._done: deque[tuple[float, int]] = deque()

    def tick(self, *, waits: bool) -> None:
        """From now on requests wait, or none does."""
        now = self._clock()
        if self._waits:
            self._waited_s += now - self._at
        self._at, self._waits = now, waits

    def count(self, cost: int) -> None:
        """Work that was done."""
        if self._waits:
            self.tick(waits=True)
            self._done.append((self._waited_s, cost))
            while self._waited_s - self._done[0][0] > RATE_WINDOW_S:
                self._done.popleft()

    def per_second(self) -> float:
        """Work done a second, up to what was done last; 0 where it is not known."""
        window_s = min(self._done[-1][0], RATE_WINDOW_S) if self._done else 0.0
        if window_s < LEAST_MEASURED_S:
            return 0.0
        return sum(cost for _, cost in self._done) / window_s


def _refused(reason: str, message: str, retry_after_s: float) -> Overloaded:
    REFUSED.labels(reason).inc()
    seconds = min(LONGEST_RETRY_S, max(1, math.ceil(retry_after_s)))
    return Overloaded(f"{message}; try again in {seconds} s", retry_after_s=seconds)
