"""`phiserve tokens` shows the prompt, its cost and the crops."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from images import encode, noise
from pdfs import pdf, text_page
from phiserve.cli.main import app


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a [1].png").write_bytes(encode(noise(640, 480)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")


def run(checkpoint: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["tokens", "--model", str(checkpoint), *arguments])


def test_a_image(checkpoint: Path) -> None:
    """Segments in order, the image's cost under every detail, the crops drawn."""
    result = run(checkpoint, "a [1].png", "What is <|end|>?")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    ids = json.loads(run(checkpoint, "a [1].png", "What is <|end|>?", "--ids").stdout)
    assert ids.count(32044) == 1921
    assert result.stdout.splitlines()[0] == f"{len(ids)} tokens: {len(ids) - 1921} of text, 1921 of 1 image"
    assert [line[2] for line in lines if line[-1] == "32007"] == ["<|end|>"]  # the one of structure
    assert [
        "1",
        "a",
        "[1].png",
        "640",
        "x",
        "480",
        "1344",
        "x",
        "1008",
        "4",
        "x",
        "3",
        "1921",
        "1921",
        "313",
        "1921",
    ] in lines
    with Image.open("crops.png") as drawing:
        assert drawing.size == (5 * 348 + 24, 3 * 348 + 12)


def test_pages_of_a_pdf(checkpoint: Path) -> None:
    """Each is an image with its number; what is wrong with it is told by its name."""
    Path("a.pdf").write_bytes(pdf(text_page("One"), text_page("Two"), ""))
    result = run(checkpoint, "a.pdf", "a [1].png", "Which?", "--detail", "low", "--pages", "3,1")
    assert result.exit_code == 0
    rows = [" ".join(line.split()[:4]) for line in result.stdout.splitlines()]
    assert [*rows[-4:-1]] == ["1 a.pdf page 3", "2 a.pdf page 1", "3 a [1].png 640"]
    with Image.open("crops.png") as drawing:
        assert drawing.size[1] > 3 * 336
    refused = run(checkpoint, "a.pdf", "Which?", "--pages", "9")
    assert refused.exit_code == 1
    assert "a.pdf.pages: there is no page 9: the PDF has 3" in refused.stderr


def test_text_of_all_kinds(checkpoint: Path) -> None:
    """What a locale lacks is written as an escape; output that nobody reads is no error."""
    command = [sys.executable, "-m", "phiserve", "tokens", "--model", str(checkpoint), "naïve 😀"]
    ascii_only = os.environ | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(  # noqa: S603 - our own command
        command, capture_output=True, text=True, env=ascii_only, timeout=120
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert 'na\\xefve \\U0001f600"' in result.stdout
    for more in ([], ["--ids"]):
        reading, writing = os.pipe()
        os.close(reading)
        result = subprocess.run(  # noqa: S603 - our own command
            [*command, *more], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=120
        )
        os.close(writing)
        assert (result.returncode, result.stderr) == (1, "")


def test_ids_and_detail(checkpoint: Path) -> None:
    """The ids alone, for programs; `low` is one crop."""
    ids = json.loads(run(checkpoint, "a [1].png", "Hi", "--ids", "--detail", "low").stdout)
    assert ids.count(32044) == 313
    assert not Path("crops.png").exists()


def test_drawings_are_never_overwritten_unasked(checkpoint: Path) -> None:
    """A file that is there keeps its name; a name that is given is used."""
    Path("crops.png").write_text("mine")
    assert run(checkpoint, "a [1].png", "Hi", "--detail", "low").exit_code == 0
    assert Path("crops.png").read_text() == "mine"
    assert Path("crops-2.png").exists()
    assert run(checkpoint, "a [1].png", "Hi", "--draw", "/no/such/folder/x.png").exit_code == 1
