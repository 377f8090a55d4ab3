"""The embedded model with int8 weights, on whatever CPU this is: its answers stay what they were."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from demo.exam import BOOK, LINE, PAIR, SHAPES, Task
from e2e.running import ServerProcess, server_process
from e2e.truth import MAX_TOKENS, MODEL, asked, least_share
from images import image_part, text_part

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def int8_server() -> Iterator[ServerProcess]:
    """A server of the demo model that quantizes it first."""
    with server_process("--quantize", "int8", model=None) as process:
        process.wait_until_ready()
        yield process


@pytest.fixture(scope="module")
def int8(int8_server: ServerProcess) -> Iterator[openai.OpenAI]:
    """The synchronous client."""
    with openai.OpenAI(base_url=f"{int8_server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_it_is_told(int8_server: ServerProcess, cache_home: Path) -> None:
    """That weights were quantized, where to, and what they are."""
    said = "".join(int8_server.lines)
    (made,) = (cache_home / "phiserve").glob("phiserve-demo-*-int8-*")
    assert f"to int8 into {made}" in said.replace("\n", "")
    assert "weights int8" in said


def test_a_picture_of_the_readme(int8: openai.OpenAI) -> None:
    """As with whole weights, character for character."""
    content = [
        image_part((ROOT / "docs/images/cover.png").read_bytes()),
        text_part("Help me get the title and author information of this book?"),
    ]
    answer = int8.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": content}],  # type: ignore[list-item,misc]
        temperature=0,
        max_tokens=MAX_TOKENS,
    )
    expected = 'The title of the book is "ALONE" and the author is Morgan Maxwell.'
    assert answer.choices[0].message.content == expected


@pytest.mark.parametrize("task", [BOOK, SHAPES, PAIR, LINE], ids=lambda task: task.name)
def test_answers_are_true(int8: openai.OpenAI, task: Task) -> None:
    """As often as those of the whole weights."""
    batch = asked(int8, task)
    share = sum(answered.is_exact for answered in batch) / len(batch)
    assert share >= least_share(task, len(batch))
