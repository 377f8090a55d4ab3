"""Why the engine is refused, or did not start: one sentence that names the remedy."""

import pytest
from pydantic import BaseModel, JsonValue, ValidationError, model_validator
from vllm.config import CacheConfig

from phiserve.engine.adapter import MAX_REASON_CHARACTERS
from phiserve.engine.start_failure import reason_of, startup_error
from phiserve.plugin.core_process import EngineProcessFailure

VLLM = RuntimeError("Engine core initialization failed. See root cause above. Failed core proc(s): {}")


class Agreeing(BaseModel):
    """Stands for a configuration of vLLM's whose values must agree."""

    blocks: int | bool = 0

    @model_validator(mode="after")
    def _agree(self) -> "Agreeing":
        raise ValueError("blocks and swap exclude each other.\nSee the manual.")


def failure(text: str = "", *, is_memory: bool = False) -> EngineProcessFailure:
    """What the engine's process reports."""
    return EngineProcessFailure("ValueError", text, "worker.py:7", "Traceback …", is_memory)


def said(error: Exception, told: EngineProcessFailure | None) -> str:
    return str(startup_error(error, told, "weights need 8 GiB"))


def test_what_the_process_reports_is_said() -> None:
    """Not vLLM's advice to look above, where there is nothing; its traceback goes with the error."""
    assert said(VLLM, failure("No block fits.")) == "vLLM's engine did not start: No block fits."
    assert said(VLLM, failure()) == "vLLM's engine did not start: ValueError"
    assert startup_error(VLLM, failure(), "").__notes__ == ["Traceback …"]


def test_memory_is_named_with_what_is_needed() -> None:
    """Whether the process says so, or could say nothing, or this one is refused it."""
    assert said(VLLM, failure("can't allocate", is_memory=True)) == (
        "Too little memory: the engine was refused what it asked for; weights need 8 GiB"
    )
    assert said(MemoryError(), None) == "Too little memory: weights need 8 GiB"
    assert said(VLLM, None).endswith("as the kernel ends one where memory runs out: weights need 8 GiB")


def test_other_failures_are_vllms() -> None:
    """Of its own process, before another is started."""
    assert said(OSError("no such device"), None) == "vLLM's engine did not start: no such device"


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
