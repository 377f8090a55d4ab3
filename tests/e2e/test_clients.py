"""Every example in clients/ runs as it is, against a real server, with real pictures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pictures import encode, photo

CLIENTS = Path(__file__).parents[2] / "clients"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two photographs as files."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in ("china", "flower"):
        (folder / f"{name}.png").write_bytes(encode(photo(name).resize((160, 120))))
    return [str(folder / f"{name}.png") for name in ("china", "flower")]


def run(url: str, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OPENAI_BASE_URL": f"{url}/v1"}
    return subprocess.run(  # noqa: S603 - our own examples
        command, env=environment, cwd=CLIENTS, capture_output=True, text=True, timeout=120, check=True
    )


def test_openai_vision(url: str, pictures: list[str]) -> None:
    """Streams an answer about two pictures and prints their cost."""
    question = "What is the difference between these two images?"
    result = run(url, sys.executable, "openai_vision.py", question, *pictures)
    assert result.stdout.strip()
    assert "of them in pictures" in result.stderr


def test_openai_async(url: str, pictures: list[str]) -> None:
    """Prints every question with its answer."""
    result = run(url, sys.executable, "openai_async.py", pictures[0], "What is it?", "Which colours?")
    assert "What is it?\n" in result.stdout
    assert "Which colours?\n" in result.stdout


def test_langchain_vision(url: str, pictures: list[str]) -> None:
    """Streams an answer through LangChain, then prints a typed one."""
    result = run(url, sys.executable, "langchain_vision.py", pictures[0], "What is it?")
    streamed, typed = result.stdout.rsplit("Picture(", 1)
    assert streamed.strip()
    assert "kind=" in typed
    assert "colourful=" in typed


def test_curl(url: str, pictures: list[str]) -> None:
    """Prints a completion."""
    answer = json.loads(run(url, "./curl.sh", pictures[0], 'What does "it" show?').stdout)
    assert answer["object"] == "chat.completion"
    assert answer["usage"]["prompt_tokens_details"]["image_tokens"] > 0


def test_every_example_has_a_test() -> None:
    """A new example needs a test here."""
    tested = {"openai_vision.py", "openai_async.py", "langchain_vision.py", "curl.sh"}
    assert {path.name for path in CLIENTS.iterdir() if path.is_file()} == tested
