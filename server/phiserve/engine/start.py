"""Starts vLLM's engine by a plan, and reports what was decided."""

import asyncio
import multiprocessing
from dataclasses import dataclass

import torch
import transformers
import vllm
from vllm import envs
from vllm.config import VllmConfig
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.platforms import current_platform
from vllm.v1.engine.async_llm import AsyncLLM

from phiserve.checkpoint.opened import Checkpoint
from phiserve.checkpoint.weights import check_weights
from phiserve.engine.adapter import Engine
from phiserve.engine.crop_budget import CropBudget
from phiserve.engine.forking import EngineTemplate
from phiserve.engine.host import detect_host
from phiserve.engine.memory import check_kv_cache, memory_need
from phiserve.engine.metrics import StepCount, one_stat_logger
from phiserve.engine.plan import EnginePlan
from phiserve.engine.process import EngineProcess, Failures, keep_told_deaths_out_of_the_log, reported
from phiserve.engine.start_failure import reason_of, startup_error
from phiserve.engine.step_outputs import StepProcessor
from phiserve.errors import StartupError
from phiserve.plugin.core_process import failures_reported
from phiserve.plugin.length_scheduler import switching_length
from phiserve.plugin.lifeline import tied_processes
from phiserve.vision.sizes import most_image_tokens

_ENGINE_PROCESS = "EngineCore"
"""What vLLM's names of its engines' processes begin with."""

REQUEST_TEXT_TOKENS = 512
"""Tokens of text and answer that are assumed beside an image when capacity is stated."""


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What the running engine turned out to be.

    `kv_tokens` is the size of the KV cache in tokens, `one_image_requests` how many requests with one image
    it holds at once, `rope_factors` which of the model's RoPE factors requests have, `weights` how they are
    quantized, or "".
    """

    device: str
    dtype: str
    context_tokens: int
    rope_factors: str
    kv_tokens: int
    one_image_requests: int
    max_crops: int
    weights: str = ""

    def lines(self) -> list[str]:
        """Lines for the banner."""
        return [
            f"device {self.device}, dtype {self.dtype}{f', weights {self.weights}' if self.weights else ''}",
            f"context {self.context_tokens} tokens, {self.rope_factors}",
            f"KV cache {self.kv_tokens} tokens: {self.one_image_requests} requests with one image at once",
            f"max_crops {self.max_crops}",
        ]


class EngineStarter:
    """Starts engines by one plan, one after the other in one process, forked from a template if there is one.

    A second AsyncLLM in a process is sound in vLLM 0.32 if it gets a configuration of its own (the engine's
    start adds to it) and if the metrics of the first go on. It leaves two socket files behind, which
    `Engine.shutdown` removes.
    """

    def __init__(
        self,
        plan: EnginePlan,
        checkpoint: Checkpoint,
        traces_url: str | None = None,
        template: EngineTemplate | None = None,
    ) -> None:
        self._plan = plan
        self._checkpoint = checkpoint
        self._template = template or EngineTemplate()
        self._traces_url = traces_url
        # One for all engines: what waits for a dead one holds room that the next one's requests need.
        self._crop_budget = CropBudget(plan.max_crop_bytes_in_flight, plan.max_queue_s)
        # Whoever asks vLLM for its own lines gets them.
        keeps_details = bool(plan.args.get("enable_logging_iteration_details"))
        self._steps = StepCount(keeps_details=keeps_details)
        self._stat_logger = one_stat_logger(self._steps)
        keep_told_deaths_out_of_the_log()

    async def first(self) -> tuple[Engine, EngineReport]:
        """Start an engine and wait until it can generate. Raises StartupError.

        Must run in the event loop that will serve. Blocks it while the weights load: nothing is served yet.
        """
        check_kv_cache(self._plan, self._checkpoint, detect_host())
        started = self._start()
        # vLLM does so in the engine's process; without it, ours reads the environment for every token.
        envs.enable_envs_cache()
        engine = self._engine(started)
        await engine.warm_up()
        return engine, _report(started.config, self._plan, self._checkpoint)

    async def again(self) -> Engine:
        """Start an engine as at first, while the loop goes on.

        When cancelled, ends what has been started. Raises StartupError.
        """
        starting = asyncio.ensure_future(asyncio.to_thread(self._start))
        try:
            started = await asyncio.shield(starting)
        except asyncio.CancelledError:
            await _end(starting)
            raise
        engine = self._engine(started)
        try:
            await engine.warm_up()
        except BaseException:
            engine.kill()  # it may be stopped, and would be waited for
            engine.shutdown()
            raise
        return engine

    def _engine(self, started: "_Started") -> Engine:
        steps = self._steps if started.llm.log_stats else None
        return Engine(started.llm, self._crop_budget, EngineProcess(started.llm, started.failures, steps))

    def _start(self) -> "_Started":
        """Start the engine, its processes tied to ours. Raises StartupError."""
        check_weights(self._checkpoint, self._plan.args)
        args, config = _configured(self._plan)
        with tied_processes(), failures_reported() as failures, self._template.stands_in():
            try:
                llm = AsyncLLM.from_vllm_config(
                    config,
                    enable_log_requests=args.enable_log_requests,
                    disable_log_stats=args.disable_log_stats,
                    stat_loggers=None if args.disable_log_stats else [self._stat_logger],
                )
            except (MemoryError, OSError, RuntimeError, ValueError) as error:
                memory = memory_need(self._plan, self._checkpoint, detect_host())
                raise startup_error(error, reported(failures), memory) from error
            StepProcessor.take_over(llm.output_processor)
            if self._traces_url is not None:
                _trace(llm, self._traces_url)
            return _Started(llm, config, failures)


@dataclass(frozen=True, slots=True)
class _Started:
    """vLLM's engine, its configuration with what the start has added, and where its process reports."""

    llm: AsyncLLM
    config: VllmConfig
    failures: Failures


def _trace(llm: AsyncLLM, url: str) -> None:
    """Let vLLM make a span of each request, which goes where the spans of the whole process go.

    Given the URL as an argument, vLLM would send them itself: each engine would leave behind an exporter with
    a thread, which only the process's provider ends, and which the end of the process awaits.
    """
    if llm.log_stats:  # a span is made of the request's statistics; without them vLLM's loop would fail
        llm.observability_config.otlp_traces_endpoint = url
        llm.output_processor.tracing_enabled = True


async def _end(starting: asyncio.Future[_Started]) -> None:
    """End an engine that is being started, and wait until its start has failed."""
    while not starting.done():
        for process in multiprocessing.active_children():
            if process.name.startswith(_ENGINE_PROCESS):
                process.kill()
        await asyncio.wait({starting}, timeout=0.1)
    if starting.exception() is None:
        starting.result().llm.shutdown()
        starting.result().failures.close()


def _configured(plan: EnginePlan) -> tuple[AsyncEngineArgs, VllmConfig]:
    """Turn the plan's arguments into vLLM's configuration. Raises StartupError for those it refuses."""
    try:
        args = AsyncEngineArgs(**plan.args)
        config = args.create_engine_config()
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise StartupError(f"vLLM refuses the engine's arguments: {reason_of(error)}") from error
    config.observability_config.enable_logging_iteration_details = True  # see `StepCount`
    config.scheduler_config.encoder_cache_size = plan.encoder_cache_tokens  # there is no argument for it
    return args, config


def _report(config: VllmConfig, plan: EnginePlan, checkpoint: Checkpoint) -> EngineReport:
    cache = config.cache_config
    context = config.model_config.max_model_len
    kv_tokens = (cache.num_gpu_blocks or 0) * cache.block_size
    one_image = min(context, most_image_tokens(plan.max_crops) + REQUEST_TEXT_TOKENS)
    return EngineReport(
        device=current_platform.device_name,
        dtype=str(config.model_config.dtype).removeprefix("torch."),
        context_tokens=context,
        rope_factors=_rope_factors(config, checkpoint),
        kv_tokens=kv_tokens,
        one_image_requests=kv_tokens // one_image,
        max_crops=plan.max_crops,
        weights="" if checkpoint.quantization is None else str(checkpoint.quantization.scheme),
    )


def _rope_factors(config: VllmConfig, checkpoint: Checkpoint) -> str:
    """Which RoPE factors requests have, in words."""
    if (short_tokens := switching_length(config)) is not None:
        return f"short RoPE factors up to {short_tokens}, long ones beyond"
    is_short = config.model_config.max_model_len <= checkpoint.short_context
    return f"{'short' if is_short else 'long'} RoPE factors"


def versions() -> dict[str, str]:
    """Versions of vLLM, torch and transformers.

    Taken from the modules: vLLM's CPU build has no package metadata under its name.
    """
    return {"vllm": vllm.__version__, "torch": torch.__version__, "transformers": transformers.__version__}
