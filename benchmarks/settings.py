"""The engine settings that all servers share, in the words of each."""

import json
from dataclasses import dataclass

GIB = 2**30
_OURS = (
    "max_model_len",
    "max_num_seqs",
    "max_num_batched_tokens",
    "kv_cache_memory_bytes",
    "mm_processor_cache_gb",
    "dtype",
)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """vLLM's engine arguments by their own names. Batch sizes and eager mode are phiserve's defaults on CPU
    (`engine/plan.py`).

    The context holds four photos of 16 crops. `max_images` is per request.
    """

    max_model_len: int = 12288
    max_num_seqs: int = 64
    max_num_batched_tokens: int = 2048
    kv_cache_memory_bytes: int = GIB
    mm_processor_cache_gb: float = 1.0
    dtype: str = "bfloat16"
    max_images: int = 16

    def for_phiserve(self) -> list[str]:
        """Flags of `phiserve serve`; what is not here is its default."""
        return [part for name in _OURS for part in ("--engine", f"{name}={getattr(self, name)}")]

    def for_vllm(self) -> list[str]:
        """The same as flags of vLLM's server, and what phiserve sets by itself."""
        shared = [
            part for name in _OURS for part in (f"--{name.replace('_', '-')}", str(getattr(self, name)))
        ]
        limits = ["--limit-mm-per-prompt", json.dumps({"image": self.max_images})]
        return [
            *shared,
            *limits,
            "--enforce-eager",
            "--generation-config",
            "vllm",
            "--gpu-memory-utilization",
            "0.1",
        ]
