"""What start-up states."""

from types import SimpleNamespace
from typing import Any

import pytest

from phiserve.engine.start import EngineReport, EngineStarter, _trace, versions
from scripted_llm import ScriptedLLM, output


def test_report() -> None:
    """Device, dtype, context and RoPE regime, capacity, max_crops."""
    lines = "\n".join(EngineReport("cpu", "bfloat16", 8192, "long RoPE factors", 100_000, 31, 16).lines())
    for said in (
        "cpu",
        "bfloat16",
        "8192 tokens, long RoPE",
        "100000 tokens: 31 requests with one image",
        "max_crops 16",
    ):
        assert said in lines
    assert "weights" not in lines
    int8 = EngineReport("cpu", "bfloat16", 8192, "long", 100_000, 31, 16, "int8")
    assert int8.lines()[0] == "device cpu, dtype bfloat16, weights int8"


@pytest.mark.parametrize("log_stats", [True, False])
def test_vllm_makes_spans_where_it_keeps_statistics(log_stats: bool) -> None:
    """It asserts that there are some for each request that it traces, and would fail for all of them."""
    llm = SimpleNamespace(
        log_stats=log_stats,
        observability_config=SimpleNamespace(otlp_traces_endpoint=None),
        output_processor=SimpleNamespace(tracing_enabled=False),
    )
    _trace(llm, "http://collector:4318")
    assert llm.output_processor.tracing_enabled is log_stats
    assert (llm.observability_config.otlp_traces_endpoint is not None) is log_stats


def test_versions() -> None:
    """Of everything the engine is made of, though vLLM's CPU build has no metadata under its name."""
    assert versions()["vllm"].startswith("0.32")
    assert set(versions()) == {"vllm", "torch", "transformers"}


def test_engines_share_room_for_crops() -> None:
    """What still waits for an ended engine takes its turn with what waits for the next one."""

    async def script(attempt: int) -> Any:
        yield output()

    plan: Any = SimpleNamespace(args={}, max_crop_bytes_in_flight=10, max_queue_s=1)
    checkpoint: Any = None
    starter = EngineStarter(plan, checkpoint)
    engines = []
    for _ in range(2):
        llm: Any = ScriptedLLM(script)
        llm.log_stats = False
        started: Any = SimpleNamespace(llm=llm, failures=None)
        engines.append(starter._engine(started))
    assert engines[0]._crop_budget is engines[1]._crop_budget
