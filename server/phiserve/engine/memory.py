"""What memory an engine needs on this host, in words, and whether it is there."""

import resource

from phiserve.checkpoint.opened import Checkpoint
from phiserve.engine.host import GIB, Host
from phiserve.engine.plan import RUNTIME_BYTES, EnginePlan
from phiserve.errors import StartupError


def check_kv_cache(plan: EnginePlan, checkpoint: Checkpoint, host: Host) -> None:
    """Refuse a KV cache on CPU that holds no context, or is more than the memory that is free.

    The plan's own never is: this is about the user's. Raises StartupError.
    """
    if not host.is_cpu:
        return
    cache, context = plan.args["kv_cache_memory_bytes"], plan.args["max_model_len"]
    dtype = str(plan.args.get("dtype", "auto"))
    if cache < (least := checkpoint.kv_bytes_per_token(dtype) * context):
        raise StartupError(
            f"engine.kv_cache_memory_bytes is {cache}, and a context of {context} tokens takes {least}; "
            f"a smaller engine.max_model_len needs less"
        )
    if checkpoint.weight_bytes(dtype) + RUNTIME_BYTES + cache > host.ram_bytes:
        raise StartupError(f"Too little memory: {memory_need(plan, checkpoint, host)}")


def memory_need(plan: EnginePlan, checkpoint: Checkpoint, host: Host) -> str:
    """What the engine needs of memory and what is free, and what needs less."""
    dtype = str(plan.args.get("dtype", "auto"))
    weights = checkpoint.weight_bytes(dtype)
    if host.is_cpu:
        cache = int(plan.args["kv_cache_memory_bytes"])
        return (
            f"weights need {_gib(weights)}, the KV cache {_gib(cache)}, the runtime {_gib(RUNTIME_BYTES)}, "
            f"and {_gib(host.ram_bytes)} are free{_address_limit()}; a smaller "
            f"engine.kv_cache_memory_bytes, or without it a smaller engine.max_model_len, needs less"
        )
    context = plan.args["max_model_len"]
    cache = checkpoint.kv_bytes_per_token(dtype) * context
    return (
        f"weights need {_gib(weights)}, a context of {context} tokens {_gib(cache)}, and {host.device} has "
        f"{_gib(host.device_bytes)} in all; a smaller engine.max_model_len or engine.max_num_batched_tokens "
        f"needs less"
    )


def _address_limit() -> str:
    """What an operator may have forgotten, where there is such a limit."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    return "" if allowed == resource.RLIM_INFINITY else f" ({_gib(allowed)} a process, by ulimit -v)"


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / GIB:.1f} GiB"
