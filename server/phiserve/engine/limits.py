"""What vLLM's configuration says of what requests must fit into, and of how prompts are read."""

import sys

from vllm.config import VllmConfig
from vllm.platforms import current_platform
from vllm.utils.import_utils import resolve_obj_by_qualname

from phiserve.engine.interface import EngineLimits
from phiserve.plugin.fair_scheduler import LONGEST_CHUNK
from phiserve.plugin.length_scheduler import switching_length

CPU_WORKER = "phiserve.plugin.worker.PhiserveCPUWorker"
"""Ours, by its name: to load it takes seconds."""


def limits_of(config: VllmConfig) -> EngineLimits:
    """The limits of an engine with this configuration."""
    scheduling = config.scheduler_config
    unfinished = scheduling.max_num_queued_reqs
    chunk_tokens = scheduling.long_prefill_token_threshold or LONGEST_CHUNK
    return EngineLimits(
        config.model_config.max_model_len,
        running=scheduling.max_num_seqs,
        unfinished=sys.maxsize if unfinished is None else unfinished,
        reads_apart=config.use_v2_model_runner or _is_ours(config.parallel_config.worker_cls),
        chunk_tokens=min(chunk_tokens, LONGEST_CHUNK, scheduling.max_num_batched_tokens),
        short_tokens=switching_length(config),
    )


def _is_ours(worker_cls: str) -> bool:
    """Whether a worker has our sampler (`plugin.sampler`)."""
    if worker_cls == CPU_WORKER or not current_platform.is_cpu():
        return worker_cls == CPU_WORKER
    from phiserve.plugin.worker import PhiserveCPUWorker

    return issubclass(resolve_obj_by_qualname(worker_cls), PhiserveCPUWorker)
