"""An engine that comes back: when its process ends or hangs, a new one is started and requests go on.

Knows no vLLM: what starts an engine is passed in.
"""

import asyncio
import logging
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Counter, Gauge

from phiserve.core import GenerationRequest
from phiserve.engine.freeing import freed, until_freed
from phiserve.engine.hang import EndableEngine, until_it_fails
from phiserve.engine.interface import Admission, Delta, EngineClient, EngineHealth, EngineLimits, Generation
from phiserve.errors import EngineEnded, EngineFailure, EngineUnavailable, StartupError

_LOG = logging.getLogger(__name__)

ENDS = Counter("phiserve_engine_ends", "Times that the engine ended or hung.")
RESTARTS = Counter("phiserve_engine_restarts", "Engines started in place of one that had ended.")
RESENT = Counter("phiserve_requests_resent", "Requests sent again to a new engine.")
SERVING = Gauge("phiserve_engine_serving", "1 while there is an engine to send requests to, else 0.")

LEAST_START_S = 600.0
"""Seconds that a start has at least: weights may come from a slow disk."""

LONGEST_BACKOFF_S = 30.0
"""Most seconds that pass before an engine is started anew."""

RESTART_WINDOW_S = 600.0
"""Ends that are older than these seconds are forgotten."""

MAX_SENDS = 2
"""Times that a request is sent: it may be what ends engines."""


class StartedEngine(EndableEngine, Protocol):
    """An engine that can be ended, with all that it holds."""

    def fail_requests(self) -> None:
        """Tell all unfinished requests that it has ended."""

    def shutdown(self) -> None:
        """Give back all that it holds; may be called again."""

    def render_metrics(self) -> bytes:
        """Metrics in Prometheus' text format."""


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When an engine is given up.

    `max_restarts`: so many in `RESTART_WINDOW_S`, not more. `hang_s`: an engine that has requests and makes
    no step for so long is ended.
    """

    max_restarts: int
    hang_s: float

    @property
    def start_s(self) -> float:
        """Seconds after which a start has failed, and what was started is ended."""
        return max(LEAST_START_S, self.hang_s)


class SupervisedEngine:
    """Implements `EngineClient` on engines that `start` starts, one by one. `watch` it in the event loop."""

    def __init__(
        self,
        engine: StartedEngine,
        start: Callable[[], Awaitable[StartedEngine]],
        policy: RestartPolicy,
    ) -> None:
        self._engine = engine
        self._num_engines = 1
        self._start = start
        self._policy = policy
        self._health = EngineHealth("serving")
        self._decided = asyncio.Event()
        self._decided.set()
        self._suspected = asyncio.Event()
        self._lost = asyncio.Event()
        self._ends: deque[float] = deque()
        self._warm_up: Callable[[EngineClient], Awaitable[None]]
        self._watching: asyncio.Task[None] | None = None
        self._freeing: set[asyncio.Task[None]] = set()
        SERVING.set(1)

    @property
    def limits(self) -> EngineLimits:
        """Limits that hold for every request."""
        return self._engine.limits

    @property
    def health(self) -> EngineHealth:
        """Whether there is an engine, or will be one."""
        return self._health

    def watch(self, warm_up: Callable[[EngineClient], Awaitable[None]]) -> None:
        """Watch the engine from now on; a new one is warmed up before it serves."""
        self._warm_up = warm_up
        self._watching = asyncio.create_task(self._watch(), name="engine supervisor")

    async def lost(self) -> str:
        """Wait until no further engine will be started. The reason."""
        await self._lost.wait()
        return self._health.reason

    async def admit(self, request: GenerationRequest) -> Admission:
        """Verify what does not depend on the prompt, once.

        Raises InvalidRequest, Overloaded or EngineUnavailable.
        """
        if self._health.state == "lost":
            raise EngineUnavailable(self._health.reason)
        return await self._engine.admit(request)

    async def generate(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        """Deltas of all choices. See `EngineClient.generate`.

        A request whose engine ends before its first delta is sent again to the next engine, unless it is to
        be sent once.
        """
        for sends in range(1, MAX_SENDS + 1):
            engine = await self._engine_for(generation)
            shown, number = False, self._num_engines
            try:
                async with aclosing(engine.generate(generation)) as deltas:
                    async for delta in deltas:
                        shown = True
                        yield delta
            except EngineUnavailable as error:
                if shown or (generation.is_sent_once and isinstance(error, EngineEnded)):
                    reason = "The engine ended during this answer; ask again"
                    raise EngineEnded(reason, engine=number) from None
                if generation.is_sent_once:
                    raise
                if sends == MAX_SENDS:
                    raise EngineFailure(f"The engine ended {sends} times over this request") from None
                RESENT.inc()
            else:
                return

    async def answers_within(self, timeout_s: float) -> bool:
        """Whether the engine loop answered lately or answers a ping within `timeout_s`."""
        return self._health.state == "serving" and await self._engine.answers_within(timeout_s)

    def render_metrics(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return self._engine.render_metrics()

    async def close(self) -> None:
        """End the engine and stop watching it; what is being started is ended as well."""
        for freeing in self._freeing:
            freeing.cancel()
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        self._health = EngineHealth("lost", "The server is shutting down")
        self._decided.set()
        self._engine.shutdown()

    async def _engine_for(self, generation: Generation) -> StartedEngine:
        """The engine, as soon as one serves and it is the generation's turn there.

        Raises EngineUnavailable when none will, or now does.
        """
        asked = 0
        while True:
            if self._engine.health.state != "serving" and self._health.state == "serving":
                self._decided.clear()
                self._suspected.set()
            if not self._decided.is_set():
                if generation.is_sent_once:
                    raise EngineUnavailable("A new engine is being started")
                await self._decided.wait()
            if self._health.state == "lost":
                raise EngineUnavailable(self._health.reason)
            if generation.turn is None or asked == self._num_engines:
                return self._engine
            asked = self._num_engines
            await generation.turn(asked)

    async def _watch(self) -> None:
        while self._health.state != "lost":
            reason = await until_it_fails(self._engine, self._policy.hang_s, self._suspected)
            await self._replace(reason)

    async def _replace(self, reason: str) -> None:
        """Start engines until one serves, or none may be started any more."""
        ended = weakref.ref(self._engine)
        self._decided.clear()
        SERVING.set(0)
        goes_on = self._goes_on_after(reason)
        self._engine.fail_requests()
        try:
            await asyncio.to_thread(self._engine.shutdown)
        except Exception:  # what stays of it must not keep the next one from being started
            _LOG.exception("the ended engine could not be cleared away")
        while goes_on:
            await asyncio.sleep(self._backoff_s())
            began = time.monotonic()
            try:
                self._engine = await self._started()
            except StartupError as error:
                goes_on = self._goes_on_after(str(error))
                continue
            except Exception as error:  # whatever it is, nobody else would start another
                _LOG.exception("an engine failed while it was started")
                goes_on = self._goes_on_after(f"A new engine failed at its start ({type(error).__name__})")
                continue
            took_s = time.monotonic() - began
            if not await freed(ended):
                self._free_later(ended)
            self._serve(took_s)
            return

    async def _started(self) -> StartedEngine:
        """Start an engine, in time, and warm it up. Raises StartupError."""
        limit = asyncio.timeout(self._policy.start_s)
        try:
            async with limit:  # over it, the start is cancelled, which ends its processes
                engine = await self._start()
        except TimeoutError:
            if not limit.expired():
                raise
            raise StartupError(f"A new engine took over {self._policy.start_s:g} s to start") from None
        try:
            await self._watched_warm_up(engine)
        except BaseException:
            engine.shutdown()
            raise
        return engine

    async def _watched_warm_up(self, engine: StartedEngine) -> None:
        """Warm an engine up, watched as one that serves. Raises StartupError where it ends or hangs."""
        warming = asyncio.ensure_future(self._warm_up(engine))
        failing = asyncio.create_task(until_it_fails(engine, self._policy.hang_s, asyncio.Event()))
        try:
            await asyncio.wait({warming, failing}, return_when=asyncio.FIRST_COMPLETED)
            if failing.done():
                raise StartupError(f"{failing.result()} while it was warmed up")
            await warming
        finally:
            for task in (warming, failing):
                task.cancel()
            await asyncio.gather(warming, failing, return_exceptions=True)

    def _free_later(self, ended: weakref.ref[StartedEngine]) -> None:
        freeing = asyncio.create_task(until_freed(ended), name="freeing of an ended engine")
        self._freeing.add(freeing)
        freeing.add_done_callback(self._freeing.discard)

    def _goes_on_after(self, reason: str) -> bool:
        """Count an end, and decide whether another engine may be started."""
        now = time.monotonic()
        ENDS.inc()
        self._ends.append(now)
        while now - self._ends[0] > RESTART_WINDOW_S:
            self._ends.popleft()
        if len(self._ends) > self._policy.max_restarts:
            self._give_up(reason)
            return False
        count = f"start {len(self._ends)} of at most {self._policy.max_restarts} in {RESTART_WINDOW_S:g} s"
        self._health = EngineHealth("restarting", f"{reason}; a new engine is being started ({count})")
        _LOG.error("%s", self._health.reason)
        return True

    def _backoff_s(self) -> float:
        """Nothing at first, then a second, twice as long each time."""
        ends = len(self._ends)
        return 0 if ends == 1 else min(LONGEST_BACKOFF_S, 2.0 ** (ends - 2))

    def _serve(self, took_s: float) -> None:
        self._num_engines += 1
        self._health = EngineHealth("serving")
        SERVING.set(1)
        RESTARTS.inc()
        _LOG.warning("A new engine serves after %.1f s", took_s)
        self._decided.set()

    def _give_up(self, reason: str) -> None:
        self._health = EngineHealth(
            "lost", f"{reason}; {len(self._ends)} ends in {RESTART_WINDOW_S:g} s are too many"
        )
        _LOG.critical("%s: giving up", self._health.reason)
        self._decided.set()
        self._lost.set()
