"""The running engine: vLLM's AsyncLLM behind `EngineClient`."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray
from prometheus_client import generate_latest
from vllm import SamplingParams
from vllm.exceptions import GracefulHTTPError, VLLMClientError
from vllm.inputs.engine import EngineInput, tokens_input
from vllm.outputs import RequestOutput
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError
from vllm.v1.metrics.prometheus import get_prometheus_registry
from vllm.v1.metrics.stats import SchedulerStats

from phiserve.core import GenerationRequest
from phiserve.engine.crop_budget import CropBudget
from phiserve.engine.deltas import deltas_of
from phiserve.engine.interface import Admission, Delta, EngineHealth, EngineLimits, Generation
from phiserve.engine.limits import limits_of
from phiserve.engine.process import EngineProcess
from phiserve.engine.sampling import VerifiedParams, sampling_params
from phiserve.engine.sender import ImageSender
from phiserve.errors import (
    EngineEnded,
    EngineFailure,
    EngineUnavailable,
    InvalidRequest,
    Overloaded,
    shortened,
)
from phiserve.plugin.fair_queue import OWNER_KEY

PING_INTERVAL_S = 1.0
"""An answer of the engine younger than this needs no new ping."""

MAX_REASON_CHARACTERS = 500
"""Longest message of vLLM's that an error passes on: it may repeat a value whole."""

CropsByKey = dict[str, NDArray[np.uint8]]
Outputs = AsyncGenerator[RequestOutput, None]


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False, kw_only=True)
class Admitted(Admission):
    """vLLM's verified parameters.

    `copies`: how many choices each of its sequences stands for (see `engine_choices`).
    """

    params: SamplingParams
    copies: int

    def deltas(self, output: RequestOutput) -> list[Delta]:
        """The deltas of one output. Raises EngineFailure."""
        return deltas_of(output, self.copies, is_constrained=self.params.structured_outputs is not None)


class Engine:
    """Implements `EngineClient` on an AsyncLLM. `start.start_engine` builds it, inside the event loop."""

    def __init__(self, llm: AsyncLLM, crop_budget: CropBudget, process: EngineProcess | None = None) -> None:
        self._llm = llm
        self._crop_budget = crop_budget
        self._sender = ImageSender(llm.renderer)
        self._last_answer = float("-inf")
        self._ping: asyncio.Task[bool] | None = None
        self._closed = False
        self._process = process or EngineProcess(llm)

    @cached_property
    def limits(self) -> EngineLimits:
        """Limits that hold for every request."""
        return limits_of(self._llm.vllm_config)

    @property
    def health(self) -> EngineHealth:
        """Whether the engine's process runs, and how it ended."""
        if not self._llm.errored:
            return EngineHealth("serving")
        return EngineHealth("lost", f"The engine {self._process.how_it_ended()}")

    @property
    def is_busy(self) -> bool:
        """Whether requests wait for the engine's answer."""
        return bool(self._llm.output_processor.has_unfinished_requests())

    @property
    def steps_made(self) -> int | None:
        """A number that grows with every step of the engine, or None where it tells of none."""
        return self._process.steps

    async def warm_up(self) -> None:
        """Cache what the first request would otherwise await.

        The image protocol needs `generate` to send at once (see `sender`).
        """
        await self._llm.get_supported_tasks()

    async def admit(self, request: GenerationRequest) -> Admission:
        """Verify what does not depend on the prompt, once. Raises InvalidRequest or Overloaded."""
        with _our_errors():
            params = self._verified(request)
            self._llm.check_admission(params.n)
        return Admitted(sequences=params.n, params=params, copies=request.num_choices // params.n)

    async def generate(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        """Deltas of all choices. See `EngineClient.generate`."""
        admitted = cast("Admitted", generation.admission)
        admitted.params.max_tokens = generation.max_tokens
        with _our_errors():
            first, following = await self._start(generation, admitted)
            del generation  # with its images' files, which the rest of the answer does not need
            async with aclosing(following):
                self._last_answer = time.monotonic()
                for delta in admitted.deltas(first):
                    yield delta
                async for output in following:
                    self._last_answer = time.monotonic()
                    for delta in admitted.deltas(output):
                        yield delta

    async def answers_within(self, timeout_s: float) -> bool:
        """Whether the engine loop answered lately or answers a ping within `timeout_s`.

        Concurrent callers share one ping.
        """
        if self._llm.errored:
            return False
        if time.monotonic() - self._last_answer < PING_INTERVAL_S:
            return True
        if self._ping is None or self._ping.done():
            self._ping = asyncio.create_task(self._ping_engine())
        ping = self._ping
        await asyncio.wait({ping}, timeout=timeout_s)
        return ping.done() and not ping.cancelled() and ping.result()

    def render_metrics(self) -> bytes:
        """vLLM's metrics and ours, which share its registry, in Prometheus' text format."""
        return generate_latest(get_prometheus_registry())

    def kill(self) -> None:
        """End the engine's processes as SIGKILL does, whatever they are at."""
        self._process.kill()

    def fail_requests(self) -> None:
        """Tell all unfinished requests that the engine has ended. Must run in the event loop.

        vLLM tells them too, unless `shutdown` comes first. Its metrics of what runs and waits are zero from
        now on: it would leave them as they were.
        """
        self._llm.output_processor.propagate_error(EngineDeadError())
        if self._llm.logger_manager is not None:
            self._llm.logger_manager.record(scheduler_stats=SchedulerStats(), iteration_stats=None)

    def shutdown(self) -> None:
        """End the engine's processes; may be called again. Unfinished requests are aborted."""
        if self._closed:
            return
        self._closed = True
        if self._ping is not None:
            self._ping.cancel()
        if self._llm.errored:  # it would be given seconds to end by itself, with nothing left to finish
            self._process.kill()
        self._llm.shutdown()
        self._process.release()
        # Its finalizer would do so again, at a time when the interpreter may have taken vLLM's modules apart.
        self._llm.shutdown = lambda timeout=None: None

    def _verified(self, request: GenerationRequest) -> VerifiedParams:
        """vLLM's parameters, verified in all that does not depend on the prompt."""
        params = sampling_params(request, request.stops.max_tokens or self._llm.model_config.max_model_len)
        # Without the configuration of structured outputs, vLLM leaves the constraint alone.
        params.verify(self._llm.model_config, None, None, self._llm.tokenizer)
        if params.bad_words:  # which vLLM would look at only when they are sent
            params.update_from_tokenizer(self._llm.get_tokenizer())
        params.__class__ = VerifiedParams
        return cast("VerifiedParams", params)

    async def _ping_engine(self) -> bool:
        """A round trip through the engine's loop, which AsyncLLM's own health check does not make."""
        try:
            await self._llm.is_sleeping()
        except EngineDeadError:
            return False
        self._last_answer = time.monotonic()
        return True

    async def _start(self, generation: Generation, admitted: Admitted) -> tuple[RequestOutput, Outputs]:
        """Send a request: its first output and the way to the others.

        When the engine turns out to lack an image it should hold, once more with all pixels.
        """
        crops: CropsByKey = {}
        for attempt in ("first", "retry"):
            missing = self._sender.missing(generation.images, crops).values()
            num_bytes = sum(image.plan.num_bytes for image in missing)
            async with self._crop_budget.hold(generation.line, num_bytes):
                if self._llm.errored:  # it ended meanwhile: nothing needs to be decoded for it
                    raise EngineUnavailable("The engine has stopped")
                await self._load_missing(generation, crops)
                first, following = await self._send(
                    generation, admitted.params, crops, f"{generation.request_id}-{attempt}"
                )
            if not _lacks_image(first, generation):
                return first, following
            self._sender.forget(generation.images)
            await following.aclose()
        raise EngineFailure("The engine could not take the request's images")

    async def _load_missing(self, generation: Generation, crops: CropsByKey) -> None:
        """Load pixels until the engine lacks none: it may evict an image while another is being decoded."""
        while missing := self._sender.missing(generation.images, crops):
            loaded = await asyncio.gather(*(image.load() for image in missing.values()))
            crops.update(zip(missing, loaded, strict=True))

    async def _send(
        self, generation: Generation, params: SamplingParams, crops: CropsByKey, request_id: str
    ) -> tuple[RequestOutput, Outputs]:
        """Send once and wait for the first output.

        Nothing may be awaited before the first step of `generate` (see `sender`).
        """
        if self._llm.errored:  # whatever is sent from here on may be what ends it
            raise EngineUnavailable("The engine has stopped")
        self._llm.check_admission(params.n)
        try:
            engine_input: EngineInput = (
                self._sender.assemble(generation, crops)
                if generation.images
                else tokens_input(generation.prompt_ids, cache_salt=generation.cache_salt)
            )
            params.extra_args = {OWNER_KEY: generation.line.owner}
            priority = generation.line.priority
            outputs = self._llm.generate(
                engine_input,
                params,
                request_id,
                priority=priority,
                trace_headers=generation.trace_headers,
            )
            return await anext(outputs), outputs
        except StopAsyncIteration:
            raise EngineFailure("The engine ended the request without an answer") from None
        except (
            Exception
        ):  # it may not have reached the engine, and vLLM may count it as unfinished all the same
            self._sender.forget(generation.images)
            await self._llm.abort(request_id)
            raise


def _lacks_image(first: RequestOutput, generation: Generation) -> bool:
    """vLLM reports an image missing from the engine's cache as finish reason "error" before any token."""
    return bool(generation.images) and any(
        completion.finish_reason == "error" and not completion.token_ids for completion in first.outputs
    )


@contextmanager
def _our_errors() -> Iterator[None]:
    """vLLM's exceptions as ours."""
    try:
        yield
    except VLLMClientError as error:
        param = getattr(error, "parameter", None)
        message = str(error.args[0]) if error.args else "The engine refused the request"
        raise InvalidRequest(
            shortened(message, MAX_REASON_CHARACTERS), param=param and shortened(param)
        ) from error
    except GracefulHTTPError as error:
        raise Overloaded("Too many unfinished requests; try again in a moment") from error
    except EngineDeadError as error:
        raise EngineEnded("The engine has stopped") from error
    except EngineGenerateError as error:
        raise EngineFailure("The engine failed on this request") from error
