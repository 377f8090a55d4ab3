"""Every example in clients/ runs as it is, against a real server, with real images."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.installing import npm_folder, python_with
from images import encode, photo
from servers import WebServer, refusal, web_server

CLIENTS = Path(__file__).parents[2] / "clients"
NOWHERE = "http://127.0.0.1:9"
"""A proxy that does not answer: whatever wants to leave the machine through it fails."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two photographs as files."""
    folder = tmp_path_factory.mktemp("images")
    for name in ("china", "flower"):
        (folder / f"{name}.png").write_bytes(encode(photo(name).resize((160, 120))))
    return [str(folder / f"{name}.png") for name in ("china", "flower")]


def attempt(
    url: str, *command: str, folder: Path = CLIENTS, **environment: str
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OPENAI_BASE_URL": f"{url}/v1"} | environment
    return subprocess.run(  # noqa: S603 - our own examples
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def run(
    url: str, *command: str, folder: Path = CLIENTS, **environment: str
) -> subprocess.CompletedProcess[str]:
    result = attempt(url, *command, folder=folder, **environment)
    assert result.returncode == 0, result.stderr
    return result


def test_openai_sync(url: str, images: list[str]) -> None:
    """Prints an answer and its usage."""
    result = run(url, sys.executable, "openai_sync.py", images[0], "What does the image show?")
    assert result.stdout.strip()
    assert "image_tokens=1921" in result.stderr


def test_openai_async(url: str, images: list[str]) -> None:
    """Prints every question with its answer."""
    result = run(url, sys.executable, "openai_async.py", images[0], "What is it?", "Which colours?")
    assert "What is it?\n" in result.stdout
    assert "Which colours?\n" in result.stdout


def test_openai_streaming(url: str) -> None:
    """Prints each question, each followed by an answer."""
    result = run(url, sys.executable, "openai_streaming.py", "What is a heron?", "And what does it eat?")
    first, second = re.fullmatch(
        r"> What is a heron\?\n(.+)\n> And what does it eat\?\n(.+)\n", result.stdout, re.S
    ).groups()  # type: ignore[union-attr]
    assert first.strip()
    assert second.strip()


def test_openai_vision(url: str, images: list[str]) -> None:
    """Streams an answer about two images and prints their cost."""
    question = "What is the difference between these two images?"
    result = run(url, sys.executable, "openai_vision.py", question, *images)
    assert result.stdout.strip()
    cost = re.search(r"(\d+) tokens, (\d+) of them in images", result.stderr)
    assert cost is not None
    assert int(cost[1]) > int(cost[2]) > 0


def test_openai_structured(url: str, images: list[str]) -> None:
    """Prints an object of the class."""
    result = run(url, sys.executable, "openai_structured.py", images[0])
    assert re.fullmatch(
        r"Description\(kind='[a-z ]+', colours=\[.+\], people=\d\d?, caption=.*\)\n", result.stdout, re.S
    )


def test_openai_decisions(url: str, images: list[str]) -> None:
    """Prints how likely, which and how far, and the usage, which has no output."""
    result = run(url, sys.executable, "openai_decisions.py", images[0], "Is it red?")
    kinds = ", ".join(rf"{kind} [01]\.\d\d" for kind in ("chart", "photograph", "drawing", "text"))
    lines = (r"true: [01]\.\d\d", rf"kind: [a-z]+ \({kinds}\)", r"colours: [0-2]\.\d\d of 0 to 2")
    assert re.fullmatch("\n".join(lines) + "\n", result.stdout)
    assert "output_tokens=0" in result.stderr


def test_langchain_decisions(url: str, images: list[str]) -> None:
    """LangChain takes the answers, of which it checks each figure."""
    result = run(url, sys.executable, "langchain_decisions.py", images[0])
    kinds = "(chart|photograph|something else)"
    lines = (
        r"chart: [01]\.\d\d",
        rf"kind: {kinds}, confidence [01]\.\d\d",
        r"colours: [0-2]\.\d\d of 0 to 2",
    )
    assert re.fullmatch("\n".join(lines) + "\n", result.stdout)
    assert "output_tokens=0" in result.stderr


def test_langchain_vision(url: str, images: list[str]) -> None:
    """Prints an answer, a streamed one, the usage of both, and a typed one."""
    result = run(url, sys.executable, "langchain_vision.py", images[0], "What is it?")
    whole, rest = result.stdout.removeprefix("whole: ").split("streamed: ")
    streamed, typed = rest.split("typed: ")
    for answer in (whole, streamed):
        assert re.fullmatch(r".+ \{'input_tokens': \d+, 'output_tokens': \d+, .*\}\n", answer, re.S)
    assert re.fullmatch(r"Image\(kind='[a-z ]+', colourful=(True|False)\)\n", typed)


def test_litellm_vision(url: str, images: list[str], cache: pytest.Cache) -> None:
    """Streams an answer through LiteLLM, which asks nobody else for anything."""
    python = python_with(cache, CLIENTS / "litellm_requirements.txt")
    result = run(
        url,
        *(str(python), "litellm_vision.py", images[0], "What is it?"),
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        HTTPS_PROXY=NOWHERE,
        NO_PROXY="127.0.0.1",
        PYTHONPATH="",
    )
    assert result.stdout.strip()
    assert re.search(r"\d+ tokens in, \d+ out", result.stderr)


def test_javascript(url: str, images: list[str], cache: pytest.Cache) -> None:
    """Streams an answer through npm's openai package."""
    folder = npm_folder(cache, CLIENTS / "javascript")
    result = run(url, "node", "vision.mjs", images[0], "What is it?", folder=folder)
    assert result.stdout.strip()
    assert re.search(r"\d+ tokens in, \d+ out", result.stderr)


def test_javascript_decisions(url: str, images: list[str], cache: pytest.Cache) -> None:
    """Prints an answer of each type through npm's openai package."""
    folder = npm_folder(cache, CLIENTS / "javascript")
    result = run(url, "node", "decisions.mjs", images[0], "Is it red?", folder=folder)
    lines = (r"yes: [\d.]+", r"[a-z ]+, confidence [\d.]+", r"[\d.]+ of 0 to 2")
    assert re.fullmatch("\n".join(lines) + "\n", result.stdout)
    assert re.search(r"\d+ tokens", result.stderr)


def test_curl(url: str, images: list[str]) -> None:
    """Prints a completion."""
    answer = json.loads(run(url, "./curl.sh", images[0], 'What does "it" show?').stdout)
    assert answer["object"] == "chat.completion"
    assert answer["usage"]["prompt_tokens_details"]["image_tokens"] > 0


def test_curl_decisions(url: str, images: list[str]) -> None:
    """Prints a decision."""
    answer = json.loads(run(url, "./curl_decisions.sh", images[0], 'Does "it" show a bird?').stdout)
    assert 0 <= answer["answers"][0]["probability"] <= 1
    assert answer["usage"]["output_tokens"] == 0


@pytest.mark.parametrize(
    "question", ['"it"?\n\tA \\ or\r\x01 %s?\n', "Was für ein Vogel, 鳥?", "'$HOME' `ls` \\n \\u0041", ""]
)
def test_curl_sends_the_question_as_it_is(question: str, images: list[str]) -> None:
    """Line breaks, tabs, quotes and what a shell or printf would read something into."""
    with web_server(WebServer()) as server:
        run(server.url.removesuffix("/v1"), "./curl.sh", images[0], question)
    (sent,) = server.requests
    assert sent["model"] == "m"
    assert sent["messages"][0]["content"][1] == {"type": "text", "text": question}


def test_curl_fails_with_the_server(images: list[str]) -> None:
    """An error is printed as it came, and is no success, whichever of the two requests it answers."""
    no = refusal(401, "no such key")
    for refusing in (WebServer(get=no), WebServer(posts=[no])):
        with web_server(refusing) as server:
            result = attempt(server.url.removesuffix("/v1"), "./curl.sh", images[0], "Hi")
        assert result.returncode != 0
        assert json.loads(result.stdout)["error"]["message"] == "no such key"


def test_every_example_has_a_test() -> None:
    """A new example needs a test here."""
    tested = {
        *(
            "openai_sync.py",
            "openai_async.py",
            "openai_streaming.py",
            "openai_vision.py",
            "openai_structured.py",
            "openai_decisions.py",
        ),
        *("langchain_vision.py", "langchain_decisions.py", "litellm_vision.py", "litellm_requirements.txt"),
        *("curl.sh", "curl_decisions.sh", "javascript/vision.mjs", "javascript/decisions.mjs"),
        *("javascript/package.json", "javascript/package-lock.json"),
    }
    files = (path.relative_to(CLIENTS).as_posix() for path in CLIENTS.rglob("*") if path.is_file())
    assert {name for name in files if "__pycache__" not in name and "node_modules" not in name} == tested


def test_lock_names_no_registry_but_npms() -> None:
    """The lock file works wherever npm is pointed."""
    packages = json.loads((CLIENTS / "javascript" / "package-lock.json").read_text())["packages"]
    assert all(
        lock.get("resolved", "https://registry.npmjs.org/").startswith("https://registry.npmjs.org/")
        for lock in packages.values()
    )
