"""Starts vLLM's engine by a plan, and reports what was decided."""

import asyncio
import multiprocessing
from dataclasses import dataclass

import torch
import transformers
import vllm
from pydantic import ValidationError
from vllm import envs
from vllm.config import VllmConfig
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.platforms import current_platform
from vllm.v1.engine.async_llm import AsyncLLM

from phiserve.checkpoint.opened import Checkpoint
from phiserve.engine.adapter import MAX_REASON_CHARACTERS, Engine
from phiserve.engine.metrics import one_stat_logger
from phiserve.engine.plan import EnginePlan
from phiserve.errors import StartupError, shortened
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
    it holds at once, `rope_regime` `short` or `long`.
    """

    device: str
    dtype: str
    context_tokens: int
    rope_regime: str
    kv_tokens: int
    one_image_requests: int
    max_crops: int

    def lines(self) -> list[str]:
        """Lines for the banner."""
        return [
            f"device {self.device}, dtype {self.dtype}",
            f"context {self.context_tokens} tokens, {self.rope_regime} RoPE factors",
            f"KV cache {self.kv_tokens} tokens: {self.one_image_requests} requests with one image at once",
            f"max_crops {self.max_crops}",
        ]


class EngineStarter:
    """Starts engines by one plan, one after the other in one process.

    A second AsyncLLM in a process is sound in vLLM 0.32 if it gets a configuration of its own (the engine's
    start adds to it) and if the metrics of the first go on. It leaves two socket files behind, which
    `Engine.shutdown` removes.
    """

    def __init__(self, plan: EnginePlan, checkpoint: Checkpoint) -> None:
        self._plan = plan
        self._checkpoint = checkpoint
        self._stat_logger = one_stat_logger()

    async def first(self) -> tuple[Engine, EngineReport]:
        """Start an engine and wait until it can generate. Raises StartupError.

        Must run in the event loop that will serve. Blocks it while the weights load: nothing is served yet.
        """
        llm, config = self._start()
        # vLLM does so in the engine's process; without it, ours reads the environment for every token.
        envs.enable_envs_cache()
        engine = Engine(llm)
        await engine.warm_up()
        return engine, _report(config, self._plan, self._checkpoint)

    async def again(self) -> Engine:
        """Start an engine as at first, while the loop goes on.

        When cancelled, ends what has been started. Raises StartupError.
        """
        starting = asyncio.ensure_future(asyncio.to_thread(self._start))
        try:
            llm, _ = await asyncio.shield(starting)
        except asyncio.CancelledError:
            await _end(starting)
            raise
        engine = Engine(llm)
        await engine.warm_up()
        return engine

    def _start(self) -> tuple[AsyncLLM, VllmConfig]:
        """Start the engine, its processes tied to ours. Raises StartupError."""
        args, config = _configured(self._plan)
        try:
            with tied_processes():
                return AsyncLLM.from_vllm_config(
                    config,
                    enable_log_requests=args.enable_log_requests,
                    disable_log_stats=args.disable_log_stats,
                    stat_loggers=None if args.disable_log_stats else [self._stat_logger],
                ), config
        except (OSError, RuntimeError, ValueError) as error:
            raise StartupError(f"vLLM's engine did not start: {reason_of(error)}") from error


async def _end(starting: asyncio.Future[tuple[AsyncLLM, VllmConfig]]) -> None:
    """End an engine that is being started, and wait until its start has failed."""
    while not starting.done():
        for process in multiprocessing.active_children():
            if process.name.startswith(_ENGINE_PROCESS):
                process.kill()
        await asyncio.wait({starting}, timeout=0.1)
    if starting.exception() is None:
        starting.result()[0].shutdown()


def _configured(plan: EnginePlan) -> tuple[AsyncEngineArgs, VllmConfig]:
    """Turn the plan's arguments into vLLM's configuration. Raises StartupError for those it refuses."""
    try:
        args = AsyncEngineArgs(**plan.args)
        config = args.create_engine_config()
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise StartupError(f"vLLM refuses the engine's arguments: {reason_of(error)}") from error
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
        rope_regime="short" if context <= checkpoint.short_context else "long",
        kv_tokens=kv_tokens,
        one_image_requests=kv_tokens // one_image,
        max_crops=plan.max_crops,
    )


def reason_of(error: Exception) -> str:
    """What is wrong, on one line of at most `MAX_REASON_CHARACTERS`.

    Of pydantic's errors, the argument's name and the reason; of others, the first line of their text, or
    their class's name where they have no text.
    """
    if isinstance(error, ValidationError):
        detail = error.errors(include_url=False, include_context=False)[0]
        # Only the first step is a key: pydantic puts members of unions after it.
        text = ": ".join((*map(str, detail["loc"][:1]), detail["msg"].removeprefix("Value error, ").strip()))
    else:
        text = str(error).strip()
    return shortened(text.splitlines()[0], MAX_REASON_CHARACTERS) if text else type(error).__name__


def versions() -> dict[str, str]:
    """Versions of vLLM, torch and transformers.

    Taken from the modules: vLLM's CPU build has no package metadata under its name.
    """
    return {"vllm": vllm.__version__, "torch": torch.__version__, "transformers": transformers.__version__}
