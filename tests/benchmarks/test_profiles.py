"""Samples of a profiler are told apart by what they were taken of."""

import subprocess
from pathlib import Path

import pytest

from benchmarks import profiles
from benchmarks.bench import Bench
from benchmarks.profiles import package_of, shares, step_of
from benchmarks.records import ResultsFile
from runs import CONTEXT

LOOP = "<module> (<string>:1);EngineCoreProc.run_busy_loop (vllm/v1/engine/core.py:1555)"
STEP = f"{LOOP};GPUModelRunner.execute_model (vllm/v1/worker/gpu_model_runner.py:4207)"
FORWARD = f"{STEP};_model_forward (vllm/x.py:1)"
API = "<module> (phiserve/__main__.py:5);run (uvloop/__init__.py:92)"


def test_steps_of_an_engine() -> None:
    """A sample belongs to the first part whose function it holds; other threads do not count."""
    samples = [
        f"{STEP};compute_logits (m.py:1);cpu_unquantized_gemm (u.py:2) 5",
        f"{FORWARD};cpu_unquantized_gemm (u.py:2) 2",
        f"{FORWARD};silu (torch/nn/functional.py:3) 1",
        f"{LOOP};Scheduler.schedule (vllm/v1/core/sched/scheduler.py:700) 1",
        f"{LOOP};Queue.put (queue.py:191) 1",
        "Thread.run (threading.py:9);send (zmq/x.py:1) 90",
    ]
    expected = {
        "output matrix": 50,
        "other matrix products": 20,
        "rest of the model": 10,
        "scheduler": 10,
        "rest": 10,
    }
    assert shares(samples, step_of) == {f"{name}, %": share for name, share in expected.items()}


def test_packages_of_an_api_process() -> None:
    """By the innermost frame."""
    samples = [
        f"{API};_send_all (phiserve/api/streaming.py:96);send (uvicorn/protocols/http/httptools_impl.py:544)"
        " 3",
        f"{API};Event.wait (asyncio/locks.py:210) 1",
    ]
    assert shares(samples, package_of) == {"uvicorn, %": 75, "asyncio, %": 25}
    assert package_of(["get (queue.py:191)"]) == "Python"


def test_without_the_profiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, and the run goes on."""

    def refuse(*arguments: object, **options: object) -> None:
        raise subprocess.CalledProcessError(1, "pip")

    monkeypatch.setattr(profiles, "prepare", refuse)
    bench = Bench(ResultsFile(tmp_path / "run.json", CONTEXT), tmp_path, None, short=True, repeat=1)
    profiles.profile(bench)
    assert "py-spy could not be installed" in bench.results.results.notes[0]
