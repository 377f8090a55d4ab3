"""Limits as real configurations have them: of the planned engine, and of what users set in its place."""

from pathlib import Path

import pytest
from vllm.config import VllmConfig
from vllm.platforms import current_platform

from phiserve.engine.interface import EngineLimits
from phiserve.engine.limits import limits_of
from phiserve.plugin.worker import PhiserveCPUWorker
from unit.plugin.conftest import planned

SHORT = 4096


class OwnWorker(PhiserveCPUWorker):
    """A user's, made of ours."""


def limits(checkpoint: Path, **overrides: object) -> EngineLimits:
    return limits_of(planned(checkpoint, **overrides))


def test_as_planned(checkpoint: Path) -> None:
    """On a CPU, where long prompts share nothing with short ones."""
    found = limits(checkpoint, max_model_len=2 * SHORT, max_num_seqs=8)
    assert found == EngineLimits(
        2 * SHORT, running=8, unfinished=32, reads_apart=True, chunk_tokens=512, short_tokens=SHORT
    )
    assert limits(checkpoint, max_model_len=SHORT).short_tokens is None


def test_what_a_step_reads_of_a_prompt(checkpoint: Path) -> None:
    """No more than a step has room for, nor than vLLM is told."""
    assert limits(checkpoint, max_num_batched_tokens=256, max_num_seqs=8).chunk_tokens == 256
    assert limits(checkpoint, long_prefill_token_threshold=100).chunk_tokens == 100


@pytest.mark.parametrize(
    ("worker", "apart"),
    [
        ("phiserve.plugin.worker.PhiserveCPUWorker", True),
        ("unit.engine.test_limits.OwnWorker", True),
        ("vllm.v1.worker.cpu_worker.CPUWorker", False),
    ],
)
def test_what_keeps_reads_apart_on_a_cpu(worker: str, apart: bool, checkpoint: Path) -> None:
    """Our worker, whatever the platform."""
    assert limits(checkpoint, worker_cls=worker).reads_apart is apart


@pytest.mark.parametrize("second_runner", [False, True])
def test_what_keeps_reads_apart_elsewhere(
    second_runner: bool, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM's second runner alone; no worker is loaded to see that."""
    config = planned(checkpoint)
    config.parallel_config.worker_cls = "no.such.Worker"
    monkeypatch.setattr(VllmConfig, "use_v2_model_runner", property(lambda config: second_runner))
    monkeypatch.setattr(current_platform, "is_cpu", lambda: False)
    assert limits_of(config).reads_apart is second_runner
