"""Decisions of a context beyond the short factors, and with temperatures."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.metrics import change, read
from e2e.conftest import MODEL
from e2e.running import ServerProcess, server_process
from e2e.test_decisions import ORDERS, SCORE, choice, computed
from phiserve.decisions.figures import normalised
from phiserve.engine.plan import BLOCK_TOKENS

SHORT = 4096
TEMPERATURES = {"choice": {"3": 0.05}}


@pytest.fixture(scope="module")
def long_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One whose settings name temperatures, and whose context needs the long factors."""
    file: Path = tmp_path_factory.mktemp("temperatures") / "temperatures.json"
    file.write_text(json.dumps(TEMPERATURES))
    named = {"PHISERVE_DECISION_TEMPERATURES": str(file)}
    with server_process("--engine", f"max_model_len={2 * SHORT}", **named) as process:
        process.wait_until_ready()
        yield process


def decided(server: ServerProcess, content: Any, *questions: Any) -> dict[str, Any]:
    """One answer, with diagnostics."""
    body = {"model": MODEL, "input": content, "questions": questions, "return_diagnostics": True}
    response = httpx.post(f"{server.url}/v1/decisions", json=body, timeout=300)
    assert response.status_code == 200, response.text
    return dict(response.json())


def test_temperatures_are_applied(long_server: ServerProcess) -> None:
    """To questions of their kind and number of options: what is answered is other than what was read."""
    cold, plain = decided(long_server, "Hi", choice(3), SCORE)["answers"]
    for answer, temperature in ((cold, 0.05), (plain, 1.0)):
        diagnostics = answer["diagnostics"]
        assert diagnostics["temperature"] == temperature
        exact = normalised([value / temperature for value in diagnostics["logprobs"]])
        assert diagnostics["probabilities"] == pytest.approx(exact)
        shown = [one["probability"] for one in answer["probabilities"]]
        assert shown == pytest.approx(exact, abs=0.01)
    read_off = [math.exp(value) for value in cold["diagnostics"]["logprobs"]]
    assert max(one["probability"] for one in cold["probabilities"]) > max(read_off) + 0.02


def numbered(count: int, instructions: str) -> list[Any]:
    """Questions of equally many tokens."""
    return [choice(3, instructions=instructions.format(number)) for number in range(10, 10 + count)]


def test_one_look_on_both_sides_of_the_short_factors(long_server: ServerProcess) -> None:
    """Prompts up to their length share the input with each other, and so do those beyond it."""
    questions = numbered(2, "Which is {}?") + numbered(6, "word " * 100 + "Which is {}?")
    before = read(long_server.url)
    tokens = decided(long_server, "word " * (SHORT - 100), *questions)["usage"]["input_tokens"]
    found = change(before, read(long_server.url))
    reads = len(questions) * ORDERS
    shared = (found["prompt_tokens"] - ORDERS * tokens) / (reads - ORDERS)
    assert SHORT - 120 < shared < SHORT - 60
    longest = 200
    assert computed(found) <= 2 * shared + reads * (BLOCK_TOKENS + longest)
