"""Decides vLLM's engine arguments: defaults for this host and checkpoint, overridden by the user's own."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vllm.config import StructuredOutputsConfig
from vllm.engine.arg_utils import AsyncEngineArgs

from phiserve.checkpoint.opened import Checkpoint
from phiserve.checkpoint.quantization import Quantization, Scheme
from phiserve.engine.host import GIB, Host
from phiserve.engine.kernels import check_dtype, check_kernels
from phiserve.engine.limits import CPU_WORKER
from phiserve.engine.sampling import GRAMMAR_BACKEND
from phiserve.errors import StartupError
from phiserve.plugin.fair_scheduler import LONGEST_CHUNK
from phiserve.plugin.processor import ENCODE_SLICE_KEY, MAX_CROPS_KEY
from phiserve.plugin.register import TOKENIZER_MODE
from phiserve.vision.sizes import most_image_tokens

BLOCK_TOKENS = 128
"""Tokens of a KV block on CPU."""

RUNTIME_BYTES = int(1.5 * GIB)
"""What the two processes take besides weights and caches: Python, torch and vLLM."""

OWNED_ARGUMENTS = {
    "model": "use --model",
    "tokenizer": "it is the checkpoint's own, verified at start-up",
    "skip_tokenizer_init": "answers are text",
    "hf_config_path": "the checkpoint's own config.json is what was verified",
    "hf_overrides": "the checkpoint's own config.json is what was verified",
    "revision": "the files verified at start-up are the default revision's",
    "tokenizer_revision": "the files verified at start-up are the default revision's",
    "trust_remote_code": "phiserve never runs a checkpoint's code",
    "tokenizer_mode": "phiserve brings the exact tokenizer",
    "served_model_name": "use --served-model-name",
    "limit_mm_per_prompt": "use max_images",
    "mm_processor_kwargs": "use max_crops and encode_slice_ms",
    "structured_outputs_config": "constraints are written for the backend that phiserve brings",
    "otlp_traces_endpoint": "use traces_url",
    "collect_detailed_traces": "vLLM 0.32 collects none; use traces_url",
    "logprobs_mode": "answers tell log-probabilities of the whole vocabulary, as OpenAI's do",
    "mm_processor_cache_type": "phiserve's send-once protocol needs vLLM's lru cache",
}
"""Arguments that are decided elsewhere, and where."""

EngineArguments = dict[str, Any]
"""vLLM's engine arguments by name. Their types are known to vLLM alone, which checks them."""

_COUNTS = {"max_model_len", "max_num_seqs", "max_num_batched_tokens", "kv_cache_memory_bytes"}
"""Arguments that others are computed from."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What the user decides about the engine.

    `max_crops` None means the checkpoint's own; `overrides` are vLLM's arguments by their own names.
    """

    name: str
    max_crops: int | None
    encode_slice_ms: float
    max_images: int
    max_crop_bytes_in_flight: int
    max_queue_s: float
    shutdown_grace_s: int
    overrides: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """Everything the engine is started with: vLLM's arguments, and what it has no argument for."""

    args: EngineArguments
    encoder_cache_tokens: int
    max_crops: int
    max_crop_bytes_in_flight: int
    max_queue_s: float


def plan_engine(checkpoint: Checkpoint, host: Host, options: EngineOptions) -> EnginePlan:
    """Compute the plan.

    Raises StartupError for unknown or owned arguments, for too little memory, and for quantized weights that
    the host has no kernels for.
    """
    _check_overrides(options.overrides)
    check_kernels(checkpoint.quantization, host)
    max_crops = checkpoint.max_crops if options.max_crops is None else options.max_crops
    args: EngineArguments = {
        **_own_arguments(checkpoint, options, max_crops),
        "mm_processor_cache_gb": round(min(4.0, max(0.25, host.ram_bytes * 0.05 / GIB)), 2),
        **(_cpu_defaults() if host.is_cpu else _gpu_defaults(host)),
        **_quantization_arguments(checkpoint.quantization),
        **options.overrides,
    }
    _set_dependent_defaults(args, checkpoint, host)
    _check_context(checkpoint, args)
    check_dtype(checkpoint.quantization, host, str(args.get("dtype", "auto")))
    _fit_memory(args, checkpoint, host)
    return EnginePlan(
        args,
        _encoder_cache_tokens(args, host, max_crops),
        max_crops,
        options.max_crop_bytes_in_flight,
        options.max_queue_s,
    )


def _own_arguments(checkpoint: Checkpoint, options: EngineOptions, max_crops: int) -> EngineArguments:
    """What does not depend on the host."""
    return {
        "model": checkpoint.model,
        "served_model_name": options.name,
        "tokenizer_mode": TOKENIZER_MODE,
        "generation_config": "vllm",
        "max_model_len": checkpoint.short_context,
        "limit_mm_per_prompt": {"image": options.max_images},
        "mm_processor_kwargs": {MAX_CROPS_KEY: max_crops, ENCODE_SLICE_KEY: options.encode_slice_ms},
        "mm_processor_cache_type": "lru",
        "use_tqdm_on_load": False,
        # The one that `plugin.register` replaces.
        "structured_outputs_config": StructuredOutputsConfig(backend=GRAMMAR_BACKEND),
        # A terminal's Ctrl-C reaches the engine's process too: without this it would drop what is running.
        "shutdown_timeout": options.shutdown_grace_s,
    }


def _quantization_arguments(quantization: Quantization | None) -> EngineArguments:
    """What vLLM must be told of: FP8, which it makes while it loads. The rest config.json tells."""
    if quantization is None or quantization.scheme is not Scheme.FP8:
        return {}
    # Scales per output channel, activations per token: the most exact of vLLM's own.
    return {
        "quantization": "fp8_per_channel",
        "quantization_config": {"ignore": quantization.ignored},
    }


def _set_dependent_defaults(args: EngineArguments, checkpoint: Checkpoint, host: Host) -> None:
    """Add defaults that are computed from other arguments, where the user has set none."""
    args.setdefault("max_num_queued_reqs", 4 * args["max_num_seqs"])
    if host.is_cpu:
        args.setdefault("long_prefill_token_threshold", min(LONGEST_CHUNK, args["max_model_len"]))
    if host.emulates_bf16 and "dtype" not in args and _float32_fits(checkpoint, host, args):
        args["dtype"] = "float32"


def _check_context(checkpoint: Checkpoint, args: EngineArguments) -> None:
    if args["max_model_len"] > checkpoint.longest_context:
        raise StartupError(
            f"max_model_len {args['max_model_len']} is beyond the model's {checkpoint.longest_context} tokens"
        )


def _fit_memory(args: EngineArguments, checkpoint: Checkpoint, host: Host) -> None:
    """Size the KV cache on CPU; on a GPU vLLM does, and only what cannot work is refused."""
    if not host.is_cpu:
        _check_gpu_memory(checkpoint, host, args)
    elif "kv_cache_memory_bytes" not in args:
        args["kv_cache_memory_bytes"] = _kv_bytes(checkpoint, host, args)


def _encoder_cache_tokens(args: EngineArguments, host: Host, max_crops: int) -> int:
    """Room for several of the largest images, and for all that a step may encode."""
    return max(args["max_num_batched_tokens"], (8 if host.is_cpu else 16) * most_image_tokens(max_crops))


def _check_overrides(overrides: Mapping[str, object]) -> None:
    known = {field.name for field in dataclasses.fields(AsyncEngineArgs)}
    for key in overrides:
        if key in OWNED_ARGUMENTS:
            raise StartupError(f"engine.{key} cannot be set: {OWNED_ARGUMENTS[key]}")
        if key not in known:
            raise StartupError(f"engine.{key}: vLLM has no engine argument of that name")
    for key in _COUNTS & overrides.keys():
        value = overrides[key]
        if not isinstance(value, int) or value < 1:
            raise StartupError(f"engine.{key} must be a whole number from 1 on, got {value!r}")


def _cpu_defaults() -> EngineArguments:
    from vllm.v1.executor.uniproc_executor import UniProcExecutor

    return {
        "enforce_eager": True,
        "max_num_seqs": 72,  # of which one owner may have 64
        "max_num_batched_tokens": 2048,
        # On CPU this is a fraction of host memory and only checked when the KV cache has no size of its own.
        "gpu_memory_utilization": 0.1,
        # The class itself: given its name, vLLM's CPU platform starts one more process.
        "distributed_executor_backend": UniProcExecutor,
        "worker_cls": CPU_WORKER,
        "scheduler_cls": "phiserve.plugin.scheduler.PartialEncodingScheduler",
    }


def _gpu_defaults(host: Host) -> EngineArguments:
    large = host.device_bytes >= 60 * GIB
    return {
        "gpu_memory_utilization": 0.9,
        "max_num_seqs": 256 if large else 64,
        "max_num_batched_tokens": 16384 if large else 8192,
        # Batch work comes behind what somebody waits for, as our own scheduler does it on CPU.
        "scheduling_policy": "priority",
    }


def _kv_bytes(checkpoint: Checkpoint, host: Host, args: EngineArguments) -> int:
    """Bytes of KV cache on CPU.

    Every sequence at full length, but at most half of what weights and runtime leave, and no more than images
    leave. Raises StartupError when that holds no whole context.
    """
    dtype = str(args.get("dtype", "auto"))
    per_token = checkpoint.kv_bytes_per_token(dtype)
    context = -(-args["max_model_len"] // BLOCK_TOKENS) * BLOCK_TOKENS
    least, wanted = per_token * context, per_token * context * args["max_num_seqs"]
    taken = checkpoint.weight_bytes(dtype) + RUNTIME_BYTES
    left = host.ram_bytes - taken
    half = min(left // 2, left - host.image_bytes, host.device_bytes // 2)
    if half < least:
        need = taken + least + max(least, host.image_bytes)
        raise StartupError(
            f"Too little memory: weights, runtime, images and a context of {args['max_model_len']} tokens "
            f"need {need / GIB:.1f} GiB, and {host.ram_bytes / GIB:.1f} GiB are free; a smaller "
            f"engine.max_model_len, max_image_pixels or image_workers needs less"
        )
    return min(wanted, half)


def _check_gpu_memory(checkpoint: Checkpoint, host: Host, args: EngineArguments) -> None:
    """Refuse a GPU that cannot hold the weights and one context, before the weights are loaded.

    vLLM sizes the KV cache of a GPU itself. Raises StartupError.
    """
    dtype = str(args.get("dtype", "auto"))
    ranks = int(args.get("tensor_parallel_size", 1))
    need = checkpoint.weight_bytes(dtype) + checkpoint.kv_bytes_per_token(dtype) * args["max_model_len"]
    have = host.device_bytes * ranks * float(args["gpu_memory_utilization"])
    if need > have:
        raise StartupError(
            f"Too little memory: weights and a context of {args['max_model_len']} tokens need "
            f"{need / GIB:.1f} GiB, and {have / GIB:.1f} GiB of {host.device} may be used; "
            f"a smaller engine.max_model_len needs less"
        )


def _float32_fits(checkpoint: Checkpoint, host: Host, args: EngineArguments) -> bool:
    """Whether weights and KV cache fit, with twice the bytes that bf16 takes."""
    if "kv_cache_memory_bytes" in args:
        taken = checkpoint.weight_bytes("float32") + RUNTIME_BYTES
        return taken + int(args["kv_cache_memory_bytes"]) <= host.ram_bytes
    try:
        _kv_bytes(checkpoint, host, {**args, "dtype": "float32"})
    except StartupError:
        return False
    return True
