"""A scripted AsyncLLM, for what vLLM's cannot be made to show."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from types import SimpleNamespace
from typing import Any

from vllm.exceptions import QueueOverflowError

from phiserve.engine.limits import CPU_WORKER

Script = Callable[[int], AsyncGenerator[Any, None]]


def output(text: str = "", *, finish: str | None = None, ids: tuple[int, ...] = ()) -> Any:
    """One of vLLM's outputs."""
    completion = SimpleNamespace(index=0, text=text, token_ids=list(ids), logprobs=None, finish_reason=finish)
    return SimpleNamespace(outputs=[completion], num_cached_tokens=0)


class ScriptedLLM:
    """Plays `script(attempt)` for every call of `generate`."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.started: list[str] = []
        self.aborted: list[str] = []
        self.errored = False
        self.hangs = False
        self.pings = 0
        mm_config = SimpleNamespace(mm_processor_cache_gb=0)
        model_config = SimpleNamespace(
            max_model_len=100, get_vocab_size=lambda: 32064, max_logprobs=20, is_diffusion=False
        )
        self.model_config = SimpleNamespace(**vars(model_config), get_multimodal_config=lambda: mm_config)
        scheduling = SimpleNamespace(max_num_queued_reqs=4, max_num_seqs=4, max_num_batched_tokens=64)
        self.scheduler_config = SimpleNamespace(**vars(scheduling), long_prefill_token_threshold=0)
        rope = SimpleNamespace(rope_parameters={"rope_type": "default"})
        self.vllm_config = SimpleNamespace(
            model_config=SimpleNamespace(max_model_len=100, hf_config=rope),
            scheduler_config=self.scheduler_config,
            parallel_config=SimpleNamespace(worker_cls=CPU_WORKER),
            use_v2_model_runner=False,
        )
        self.renderer = SimpleNamespace(mm_processor_cache=None, model_config=self.model_config)
        socket = SimpleNamespace(getsockopt_string=lambda option: "inproc://engine")
        resources = SimpleNamespace(engine_manager=None, output_socket=socket)
        self.engine_core = SimpleNamespace(resources=resources, input_socket=socket)
        self.tokenizer = None
        self.full = False

    def check_admission(self, n: int = 1) -> None:
        if self.full or n > self.scheduler_config.max_num_queued_reqs:
            raise QueueOverflowError

    async def generate(
        self, engine_input: Any, params: Any, request_id: str, **options: Any
    ) -> AsyncGenerator[Any, None]:
        self.started.append(request_id)
        async for item in self._script(len(self.started)):
            yield item

    async def abort(self, request_id: str) -> None:
        self.aborted.append(request_id)

    async def is_sleeping(self) -> bool:
        self.pings += 1
        if self.hangs:
            await asyncio.Event().wait()
        return False
