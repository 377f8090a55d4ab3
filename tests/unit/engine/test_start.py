"""What start-up states, and why the engine is refused."""

from types import SimpleNamespace

import pytest
from pydantic import BaseModel, JsonValue, ValidationError, model_validator
from vllm.config import CacheConfig

from phiserve.engine.adapter import MAX_REASON_CHARACTERS
from phiserve.engine.start import EngineReport, _trace, reason_of, versions


class Agreeing(BaseModel):
    """Stands for a configuration of vLLM's whose values must agree."""

    blocks: int | bool = 0

    @model_validator(mode="after")
    def _agree(self) -> "Agreeing":
        raise ValueError("blocks and swap exclude each other.\nSee the manual.")


def test_report() -> None:
    """Device, dtype, context and RoPE regime, capacity, max_crops."""
    lines = "\n".join(EngineReport("cpu", "bfloat16", 8192, "long", 100_000, 31, 16).lines())
    for said in (
        "cpu",
        "bfloat16",
        "8192 tokens, long RoPE",
        "100000 tokens: 31 requests with one image",
        "max_crops 16",
    ):
        assert said in lines


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


@pytest.mark.parametrize(
    ("config", "arguments", "reason"),
    [
        (
            CacheConfig,
            {"gpu_memory_utilization": 7},
            "gpu_memory_utilization: Input should be less than or equal to 1",
        ),
        (CacheConfig, {"cache_dtype": "fp3"}, "cache_dtype: Input should be 'auto'"),
        (Agreeing, {"blocks": "many"}, "blocks: Input should be a valid integer"),
        (Agreeing, {}, "blocks and swap exclude each other."),
    ],
)
def test_a_wrong_argument_is_named_with_the_reason(
    config: type[BaseModel], arguments: dict[str, JsonValue], reason: str
) -> None:
    """On one line, and of the first that is wrong; pydantic's own text begins with how many are."""
    with pytest.raises(ValidationError) as caught:
        config(**arguments)
    said = reason_of(caught.value)
    assert said.startswith(reason)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("No memory is left.\nTraceback"), "No memory is left."),
        (RuntimeError(), "RuntimeError"),
        (ValueError("x" * 10_000), "x" * (MAX_REASON_CHARACTERS - 1) + "…"),
    ],
)
def test_other_exceptions_say_it_themselves(error: Exception, reason: str) -> None:
    """Their first line, up to a length; their class where they say nothing."""
    assert reason_of(error) == reason
