"""`phiserve checkpoint` writes what its flags say."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from phiserve.checkpoint.opened import open_checkpoint
from phiserve.checkpoint.quantization import Quantization, Scheme
from phiserve.cli.main import app


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


def test_blank(tmp_path: Path) -> None:
    """Sizes come from the flags; a folder with files is refused."""
    arguments = (
        "checkpoint",
        "blank",
        str(tmp_path / "x"),
        "--hidden",
        "32",
        "--layers",
        "1",
        "--intermediate",
        "32",
    )
    assert run(*arguments).exit_code == 0
    assert (tmp_path / "x" / "config.json").is_file()
    again = run(*arguments)
    assert (again.exit_code, "not an empty folder" in again.stderr) == (1, True)


@pytest.mark.parametrize(
    ("flags", "quantization"),
    [
        (["--scheme", "int8"], Quantization(Scheme.INT8)),
        (["--scheme", "int8", "--seven-bit"], Quantization(Scheme.INT8, max_int8=64)),
        (["--scheme", "int4", "--vision"], Quantization(Scheme.INT4, with_vision=True, group_size=32)),
    ],
)
def test_quantize(flags: list[str], quantization: Quantization, checkpoint: Path, tmp_path: Path) -> None:
    """The scheme, its range, and what it applies to come from the flags."""
    result = run("checkpoint", "quantize", str(checkpoint), str(tmp_path / "x"), *flags)
    assert (result.exit_code, result.stderr) == (0, f"Wrote {tmp_path / 'x'}\n")
    assert open_checkpoint(str(tmp_path / "x")).quantization == quantization


def test_quantize_refuses(checkpoint: Path, tmp_path: Path) -> None:
    """A folder that is taken, a model that is none, a scheme that is none; each in a sentence."""
    (tmp_path / "file").touch()
    for model, folder, scheme, code, said in (
        ("/no/such", tmp_path, "int8", 1, "not an empty folder"),
        ("/no/such", tmp_path / "x", "int8", 1, "no folder /no/such"),
        (checkpoint, tmp_path / "x", "fp8", 2, "fp8"),
    ):
        result = run("checkpoint", "quantize", str(model), str(folder), "--scheme", scheme)
        assert result.exit_code == code
        assert said in result.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_midway(number: int, checkpoint: Path, tmp_path: Path) -> None:
    """Nothing is left of it."""
    code = f"""
import sys, time
from phiserve.checkpoint import quantizing
from phiserve.cli.main import app

def write(folder, tensors, max_bytes):
    (folder / "model-00001.safetensors").write_bytes(b"half")
    print("midway", flush=True)
    time.sleep(600)

quantizing.write_shards = write
app(["checkpoint", "quantize", {str(checkpoint)!r}, {str(tmp_path / "x")!r}, "--scheme", "int8"])
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own code
        assert process.stdout is not None
        assert process.stdout.readline() == "midway\n"
        assert len(list(tmp_path.iterdir())) == 1
        os.kill(process.pid, number)
        assert process.wait(60) == 128 + number
    assert not list(tmp_path.iterdir())
