"""Defaults fit the host, overrides win, and what cannot work is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue
from vllm.config.quantization import QUANT_KEY_NAMES, resolve_quantization_config
from vllm.model_executor.layers.quantization.compressed_tensors.utils import should_ignore_layer
from vllm.utils.import_utils import resolve_obj_by_qualname
from vllm.v1.executor.uniproc_executor import UniProcExecutor

from phiserve.checkpoint.opened import Checkpoint, open_checkpoint
from phiserve.checkpoint.quantization import Quantization, Scheme
from phiserve.engine.host import GIB, Host
from phiserve.engine.plan import (
    RUNTIME_BYTES,
    EngineArguments,
    EngineOptions,
    EnginePlan,
    plan_engine,
)
from phiserve.errors import StartupError
from phiserve.plugin.scheduler import PartialEncodingScheduler
from phiserve.plugin.worker import PhiserveCPUWorker

SMALL = Host("cpu", int(6.5 * GIB), 6 * GIB, 2)  # what an 8 GB host has left
L4 = Host("NVIDIA L4", 24 * GIB, 24 * GIB, 8)


def config(**values: int) -> dict[str, JsonValue]:
    base: dict[str, JsonValue] = {
        "hidden_size": 192,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "intermediate_size": 512,
        "img_processor": {},
    }
    return base | {"max_position_embeddings": 131072, "original_max_position_embeddings": 4096} | values


EMBEDDED = Checkpoint("m", Path("tokenizer.json"), config(), 16)
REAL = Checkpoint(
    "m",
    Path("tokenizer.json"),
    config(hidden_size=3072, num_attention_heads=32, num_hidden_layers=32, intermediate_size=8192),
    16,
)


def plan(
    checkpoint: Checkpoint = EMBEDDED, host: Host = SMALL, max_crops: int | None = None, **overrides: Any
) -> EnginePlan:
    options = EngineOptions(
        "m",
        max_crops,
        encode_slice_ms=20,
        max_images=4,
        max_crop_bytes_in_flight=2**30,
        max_queue_s=60,
        shutdown_grace_s=7,
        overrides=overrides,
    )
    return plan_engine(checkpoint, host, options)


def test_embedded_on_a_small_host() -> None:
    """Every sequence fits at full length, and half of the memory stays free."""
    args = plan().args
    assert args["max_model_len"] == 4096
    assert args["kv_cache_memory_bytes"] == 72 * 4096 * 2 * 2 * 192 * 2
    assert args["distributed_executor_backend"] is UniProcExecutor
    assert args["max_num_queued_reqs"] == 4 * args["max_num_seqs"]
    assert args["shutdown_timeout"] == 7


def test_the_classes_named_exist() -> None:
    """vLLM imports worker and scheduler by these names, in its own process, on CPU only."""
    args = plan().args
    assert resolve_obj_by_qualname(args["worker_cls"]) is PhiserveCPUWorker
    assert resolve_obj_by_qualname(args["scheduler_cls"]) is PartialEncodingScheduler
    assert not {"worker_cls", "scheduler_cls"} & plan(REAL, L4).args.keys()


@pytest.mark.parametrize(("given", "expected"), [(None, 16), (4, 4)])
def test_the_checkpoints_own_max_crops(given: int | None, expected: int) -> None:
    """Where the user has set none; the engine, the encoder cache and the pipeline get the same number."""
    result = plan(max_crops=given)
    assert (result.max_crops, result.args["mm_processor_kwargs"]["num_crops"]) == (expected, expected)


def test_real_model_on_a_large_cpu_host() -> None:
    """The KV cache takes half of what the weights leave."""
    host = Host("cpu", 24 * GIB, 24 * GIB, 8)
    kv_bytes = plan(REAL, host).args["kv_cache_memory_bytes"]
    assert 393_216 * 4096 < kv_bytes < (24 * GIB - 8.3e9) / 2


def test_real_model_on_a_small_host_is_refused() -> None:
    """One sentence with both figures."""
    with pytest.raises(StartupError, match=r"Too little memory.*GiB.*6\.5 GiB are free"):
        plan(REAL)


def test_what_vllm_would_refuse_is_not_asked_for() -> None:
    """vLLM measures memory its own way; where it sees less, the KV cache is smaller."""
    host = Host("cpu", 24 * GIB, 6 * GIB, 8)
    assert plan(REAL, host).args["kv_cache_memory_bytes"] == 3 * GIB


def test_real_model_on_a_small_gpu_is_refused() -> None:
    """Before gigabytes of weights are read."""
    with pytest.raises(StartupError, match=r"Too little memory.*9\.2 GiB.*7\.2 GiB of GPU"):
        plan(REAL, Host("GPU", 64 * GIB, 8 * GIB, 8))


def test_gpu_sizes_the_kv_cache_itself() -> None:
    """On a GPU an explicit size would override the utilisation."""
    args = plan(REAL, L4).args
    assert "kv_cache_memory_bytes" not in args
    assert args["gpu_memory_utilization"] == 0.9
    assert args["scheduling_policy"] == "priority"  # on CPU our own scheduler does it


@pytest.mark.parametrize("max_crops", [1, 4, 16])
def test_largest_image_fits_the_encoder_cache(max_crops: int) -> None:
    """`max_crops` and `encode_slice_ms` travel in the engine's configuration; the cache holds several of the
    largest images.
    """
    result = plan(max_crops=max_crops)
    assert result.args["mm_processor_kwargs"] == {"num_crops": max_crops, "encode_slice_ms": 20}
    assert result.encoder_cache_tokens >= 8 * ((max_crops + 1) * 156 + 1)


def test_overrides_win() -> None:
    """What the user sets is what the engine gets, and what depends on it follows."""
    args = plan(max_num_seqs=3, dtype="float32", max_model_len=2048).args
    assert (args["max_num_seqs"], args["dtype"], args["max_num_queued_reqs"]) == (3, "float32", 12)
    assert args["kv_cache_memory_bytes"] == 3 * 2048 * 2 * 2 * 192 * 4


def test_prompts_are_read_in_chunks_on_cpu() -> None:
    """No larger than a context, which vLLM would refuse, unless the user says otherwise."""
    assert plan().args["long_prefill_token_threshold"] == 512
    assert plan(max_model_len=256).args["long_prefill_token_threshold"] == 256
    assert plan(long_prefill_token_threshold=64).args["long_prefill_token_threshold"] == 64
    assert "long_prefill_token_threshold" not in plan(REAL, L4).args


OLD_CPU = Host("cpu", 24 * GIB, 24 * GIB, 2, emulates_bf16=True)


def test_float32_where_bf16_is_emulated() -> None:
    """Unless the user says otherwise; the KV cache is counted accordingly."""
    args = plan(host=OLD_CPU).args
    assert (args["dtype"], args["kv_cache_memory_bytes"]) == ("float32", 72 * 4096 * 2 * 2 * 192 * 4)
    assert plan(host=OLD_CPU, dtype="bfloat16").args["dtype"] == "bfloat16"
    assert "dtype" not in plan(host=SMALL).args


@pytest.mark.parametrize("overrides", [{}, {"max_model_len": 2048}, {"kv_cache_memory_bytes": 6 * GIB}])
def test_no_float32_that_does_not_fit(overrides: EngineArguments) -> None:
    """The real model's weights alone would take 16.6 GB, its cache twice as much as in bf16: slow is better
    than not at all.
    """
    host = Host("cpu", 19 * GIB, 19 * GIB, 2, emulates_bf16=True)
    assert "dtype" not in plan(REAL, host, **overrides).args


def test_no_float32_that_vllm_would_refuse() -> None:
    """Where the KV cache's memory is less than all of it, a cache in float32 must fit there too."""
    host = Host("cpu", 24 * GIB, 300 * 2**20, 2, emulates_bf16=True)
    assert "dtype" not in plan(host=host, max_model_len=100_000).args


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"max_num_seq": 3}, "engine.max_num_seq:"),
        ({"trust_remote_code": True}, "never runs"),
        ({"logprobs_mode": "raw_logits"}, "of the whole vocabulary"),
        ({"mm_processor_kwargs": {}}, "max_crops"),
        ({"max_model_len": 200_000}, "131072"),
        ({"max_model_len": "8k"}, "max_model_len must be"),
        ({"max_num_seqs": None}, "max_num_seqs must be"),
        ({"max_num_batched_tokens": 0}, "max_num_batched_tokens must be"),
    ],
)
def test_refusals(overrides: EngineArguments, named: str) -> None:
    """Unknown arguments, those decided elsewhere, and an impossible context."""
    with pytest.raises(StartupError, match=named):
        plan(**overrides)


def test_reference_checkpoint_plans(reference: Path) -> None:
    """The real model's configuration gives a plan for a 24 GB GPU."""
    assert plan(open_checkpoint(str(reference)), L4).args["max_model_len"] == 4096


def test_quantized_weights_leave_more_memory(reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the KV cache; and the real model fits where it did not."""
    monkeypatch.setattr("phiserve.engine.plan.check_kernels", lambda quantization, host: None)
    real, host = open_checkpoint(str(reference)), Host("cpu", 10 * GIB, 24 * GIB, 8)
    with pytest.raises(StartupError, match="Too little memory"):
        plan(real, host)
    int8 = replace(real, requested=Quantization(Scheme.INT8))
    int4 = replace(real, requested=Quantization(Scheme.INT4))
    caches = [plan(one, host).args["kv_cache_memory_bytes"] for one in (int8, int4)]
    saved = int8.weight_bytes("auto") - int4.weight_bytes("auto")
    assert caches[1] - caches[0] == pytest.approx(saved / 2, abs=1)


def test_fp8_is_made_by_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the decoder's layers alone, as its own arguments say; the other schemes are in config.json."""
    monkeypatch.setattr("phiserve.engine.plan.check_kernels", lambda quantization, host: None)
    requested = {scheme: replace(REAL, requested=Quantization(scheme)) for scheme in Scheme}
    args = plan(requested[Scheme.FP8], L4).args
    config = resolve_quantization_config(args["quantization"], args["quantization_config"])
    assert config is not None
    assert config.linear.weight == QUANT_KEY_NAMES["fp8_per_channel_static"]
    for name, is_quantized in (
        ("model.layers.0.mlp.down_proj", True),
        ("model.vision_embed_tokens.img_processor.vision_model.encoder.layers.0.mlp.fc1", False),
        ("lm_head", False),
    ):
        assert should_ignore_layer(name, config.ignore, use_fnmatch=True) is not is_quantized
    for scheme in (Scheme.INT8, Scheme.INT4):
        assert "quantization" not in plan(requested[scheme], L4).args


def test_a_dtype_that_the_kernels_do_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is refused."""
    monkeypatch.setattr("phiserve.engine.plan.check_kernels", lambda quantization, host: None)
    int4 = replace(EMBEDDED, requested=Quantization(Scheme.INT4))
    with pytest.raises(StartupError, match="int4 weights need"):
        plan(int4, dtype="float32")
    assert plan(int4, dtype="bfloat16").args["dtype"] == "bfloat16"


def test_images_have_room_beside_the_kv_cache() -> None:
    """What decoding them may take is left to them; where it is too much for the host, the start says so."""
    host = replace(SMALL, image_bytes=3 * GIB)
    large = plan(host=host, max_num_seqs=4096).args["kv_cache_memory_bytes"]
    taken = EMBEDDED.weight_bytes("auto") + RUNTIME_BYTES
    assert large == host.ram_bytes - taken - host.image_bytes
    with pytest.raises(StartupError, match="image_workers needs less"):
        plan(host=replace(SMALL, image_bytes=6 * GIB))
