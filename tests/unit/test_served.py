"""What is served is found and checked, and quantized where the settings say so and the host can."""

from pathlib import Path

import pytest
from rich.console import Console

from phiserve import served
from phiserve.checkpoint.quantization import Quantization, Scheme
from phiserve.config import Settings
from phiserve.engine import kernels
from phiserve.errors import StartupError
from phiserve.served import planned_checkpoint, quantizing_bar, served_checkpoint

QUIET = Console(quiet=True)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "phiserve"


def test_whole_weights(checkpoint: Path, cache: Path) -> None:
    """As they are; nothing is written."""
    opened = served_checkpoint(Settings(model=str(checkpoint)), QUIET)
    assert (opened.model, opened.quantization) == (str(checkpoint), None)
    assert not cache.exists()


@pytest.mark.parametrize(("overflows", "largest"), [(True, 64), (False, 127)])
def test_int8(
    overflows: bool, largest: int, checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the range that this host multiplies exactly; the second time as it was found."""
    monkeypatch.setattr(kernels, "_overflows", lambda: overflows)
    settings = Settings(model=str(checkpoint), quantize="int8")
    opened = served_checkpoint(settings, QUIET)
    assert Path(opened.model).parent == cache
    assert opened.quantization == Quantization(Scheme.INT8, max_int8=largest)
    assert opened.requested is None
    before = sorted((path, path.stat().st_mtime_ns) for path in cache.rglob("*.safetensors"))
    assert served_checkpoint(settings, QUIET) == opened
    assert sorted((path, path.stat().st_mtime_ns) for path in cache.rglob("*.safetensors")) == before


def test_a_plan_writes_nothing(checkpoint: Path, cache: Path) -> None:
    """It says what the weights will be."""
    planned = planned_checkpoint(Settings(model=str(checkpoint), quantize="int8"), print)
    assert (planned.model, planned.requested is not None) == (str(checkpoint), True)
    assert not cache.exists()


def test_what_cannot_be_is_refused_before_anything_is_written(
    checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheme without kernels, a context that cannot be, two sayings about one thing, quantized weights."""

    def refusal(**values: object) -> str:
        with pytest.raises(StartupError) as caught:
            served_checkpoint(Settings.model_validate({"quantize": "int8"} | values), QUIET)
        assert not cache.exists()
        return str(caught.value)

    assert "fp8 weights need a GPU" in refusal(quantize="fp8")
    assert "set one" in refusal(engine={"quantization": "awq"})
    assert "beyond the model's" in refusal(model=str(checkpoint), engine={"max_model_len": 10**9})
    quantized = served_checkpoint(Settings(model=str(checkpoint), quantize="int8"), QUIET).model
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parents[1] / "other"))
    with pytest.raises(StartupError, match="is quantized already"):
        served_checkpoint(Settings(model=quantized, quantize="int8"), QUIET)
    assert not (cache.parents[1] / "other").exists()


def test_fp8_is_left_to_vllm(checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint stays, and the plan has vLLM's own argument; as if this host had a GPU for it."""
    monkeypatch.setattr(kernels, "check_kernels", lambda quantization, host: None)
    monkeypatch.setattr("phiserve.engine.plan.check_kernels", lambda quantization, host: None)
    monkeypatch.setattr(kernels, "check_dtype", lambda quantization, host, dtype: None)
    monkeypatch.setattr("phiserve.engine.plan.check_dtype", lambda quantization, host, dtype: None)
    opened = served_checkpoint(Settings(model=str(checkpoint), quantize="fp8"), QUIET)
    assert (opened.model, opened.requested) == (str(checkpoint), Quantization(Scheme.FP8))
    assert not cache.exists()


def test_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    """Shows how much is done on a terminal, and leaves nothing there; elsewhere it is silent."""
    with quantizing_bar(Console(force_terminal=True, width=60)) as progress:
        progress(0.5)
    assert "50%" in capsys.readouterr().out
    with quantizing_bar(Console()) as progress:
        progress(0.5)
    assert capsys.readouterr().out == ""
    assert served.quantizing_bar is quantizing_bar
