"""A configuration for vLLM's own scheduler, which then needs neither model nor device."""

from pathlib import Path

import pytest
from vllm.config import VllmConfig
from vllm.engine.arg_utils import AsyncEngineArgs

from phiserve.checkpoint.opened import open_checkpoint
from phiserve.engine.environment import prepare_environment
from phiserve.engine.plan import EngineOptions, detect_host, plan_engine

PLACES = 18
"""Requests that run at once, of which one owner may have 16."""

NUM_BLOCKS = 4000


@pytest.fixture(scope="module")
def config(checkpoint: Path) -> VllmConfig:
    """As phiserve plans it for a small checkpoint."""
    prepare_environment()
    overrides = {"max_num_seqs": PLACES, "max_model_len": 2048, "kv_cache_memory_bytes": 2**28}
    overrides["enable_prefix_caching"] = False  # its hashes are not what is tested
    options = EngineOptions(
        "m",
        max_crops=1,
        encode_slice_ms=30,
        max_images=1,
        max_crop_bytes_in_flight=2**30,
        max_queue_s=60,
        shutdown_grace_s=0,
        overrides=overrides,
    )
    plan = plan_engine(open_checkpoint(str(checkpoint)), detect_host(), options)
    result = AsyncEngineArgs(**plan.args).create_engine_config()
    result.cache_config.num_gpu_blocks = NUM_BLOCKS
    return result
