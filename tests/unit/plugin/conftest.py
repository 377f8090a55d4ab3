"""vLLM's own scheduler without model or device: its configuration, its KV cache, and a made-up token."""

from pathlib import Path

import pytest
import torch
from vllm.config import VllmConfig
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput

from phiserve.checkpoint.opened import open_checkpoint
from phiserve.engine.environment import prepare_environment
from phiserve.engine.host import detect_host
from phiserve.engine.plan import EngineOptions, plan_engine

PLACES = 18
"""Requests that run at once, of which one owner may have 16."""

NUM_BLOCKS = 4000
BLOCK_TOKENS = 16


@pytest.fixture(scope="module")
def config(checkpoint: Path) -> VllmConfig:
    """Without prefix caching, whose hashes are not what is tested."""
    return planned(checkpoint, max_num_seqs=PLACES, max_model_len=2048, enable_prefix_caching=False)


def planned(checkpoint: Path, **overrides: object) -> VllmConfig:
    """As phiserve plans it for a small checkpoint; `overrides` are vLLM's engine arguments."""
    prepare_environment()
    options = EngineOptions(
        "m",
        max_crops=1,
        encode_slice_ms=30,
        max_images=1,
        max_crop_bytes_in_flight=2**30,
        max_queue_s=60,
        shutdown_grace_s=0,
        overrides={"kv_cache_memory_bytes": 2**28, **overrides},
    )
    plan = plan_engine(open_checkpoint(str(checkpoint)), detect_host(), options)
    result = AsyncEngineArgs(**plan.args).create_engine_config()
    result.cache_config.num_gpu_blocks = NUM_BLOCKS
    return result


def kv_cache() -> KVCacheConfig:
    """A KV cache of one small layer."""
    spec = FullAttentionSpec(block_size=BLOCK_TOKENS, num_kv_heads=1, head_size=8, dtype=torch.float32)
    return KVCacheConfig(
        num_blocks=NUM_BLOCKS, kv_cache_tensors=[], kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)]
    )


def say(scheduler: Scheduler, output: SchedulerOutput, token: int = 5) -> None:
    """End a step in which the model says one token for all whose prompt has been read."""
    names = list(output.num_scheduled_tokens)
    requests = [scheduler.requests[name] for name in names]
    sampled = [[token] if one.num_computed_tokens >= one.num_tokens else [] for one in requests]
    rows = {name: row for row, name in enumerate(names)}
    scheduler.update_from_output(output, ModelRunnerOutput(names, rows, sampled))
