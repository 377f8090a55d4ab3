"""A KV cache that cannot be is refused before the engine starts, and memory is told in numbers."""

import resource
from pathlib import Path

import pytest
from pydantic import JsonValue

from phiserve.checkpoint.opened import Checkpoint
from phiserve.engine.host import GIB, Host
from phiserve.engine.memory import check_kv_cache, memory_need
from phiserve.engine.plan import EngineOptions, EnginePlan, plan_engine
from phiserve.errors import StartupError

CONFIG: dict[str, JsonValue] = {
    "hidden_size": 192,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 512,
    "img_processor": {},
    "max_position_embeddings": 4096,
}
CHECKPOINT = Checkpoint("m", Path("tokenizer.json"), CONFIG, 16)
CPU = Host("cpu", 10 * GIB, 20 * GIB, 4)
GPU = Host("H200", 10 * GIB, 20 * GIB, 4)


def plan(host: Host, **overrides: object) -> EnginePlan:
    """The plan for a host, with the user's own arguments."""
    return plan_engine(CHECKPOINT, host, EngineOptions("m", None, 30, 4, 2**30, 60, 7, overrides))


def test_the_plans_own_cache_passes() -> None:
    """It was made for this host; a GPU's is vLLM's to size."""
    check_kv_cache(plan(CPU), CHECKPOINT, CPU)
    check_kv_cache(plan(GPU), CHECKPOINT, GPU)


def test_a_cache_that_is_not_in_memory() -> None:
    """What it needs, what is free, and what to do."""
    with pytest.raises(StartupError) as caught:
        check_kv_cache(plan(CPU, kv_cache_memory_bytes=200 * GIB), CHECKPOINT, CPU)
    said = str(caught.value)
    assert "the KV cache 200.0 GiB" in said
    assert "10.0 GiB are free; a smaller engine.kv_cache_memory_bytes" in said


def test_a_cache_that_holds_no_context() -> None:
    """By one byte."""
    least = 4096 * 2 * 2 * 192 * 2
    check_kv_cache(plan(CPU, kv_cache_memory_bytes=least), CHECKPOINT, CPU)
    with pytest.raises(StartupError, match=f"a context of 4096 tokens takes {least}"):
        check_kv_cache(plan(CPU, kv_cache_memory_bytes=least - 1), CHECKPOINT, CPU)


def test_a_cache_that_is_no_number() -> None:
    """Named as any other count."""
    with pytest.raises(StartupError, match="kv_cache_memory_bytes must be a whole number"):
        plan(CPU, kv_cache_memory_bytes="much")


def test_a_limit_of_the_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With which memory may be free, and yet not be had."""
    monkeypatch.setattr(resource, "getrlimit", lambda which: (6 * GIB, 6 * GIB))
    assert "10.0 GiB are free (6.0 GiB a process, by ulimit -v);" in memory_need(plan(CPU), CHECKPOINT, CPU)


def test_memory_of_a_gpu() -> None:
    """Of which the weights and one context are known."""
    said = memory_need(plan(GPU), CHECKPOINT, GPU)
    assert "a context of 4096 tokens" in said
    assert "H200 has 20.0 GiB in all; a smaller engine.max_model_len" in said
