"""Served in float32 on the golden checkpoint: the reference implementation's tokens and log-probabilities.

The reference's own checkpoint writer makes the weights; `logprobs*.json` hold what the reference model answered greedily.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest

from e2e.running import InProcessServer
from golden.vectors import conversation_of
from phiserve.chat.encoder import PromptEncoder
from phiserve.config import Settings
from phiserve.engine.interface import Delta, Generation, PromptImage
from phiserve.protocol.requests import ChatCompletionRequest
from phiserve.vision.pictures import PictureLimits, PictureService, picture_key
from phiserve.vision.sizes import plan_crops
from pictures import data_url

TOLERANCE = 0.005
CASES = [("logprobs.json", index) for index in range(9)] + [("logprobs_large.json", index) for index in range(2)]
THROUGH_HTTP = {16: "high", 1: "low"}
"""Crop budgets that `detail` can express."""


@pytest.fixture(scope="module")
def checkpoint(golden: Path, reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden checkpoint, written by the script beside the vectors."""
    folder = tmp_path_factory.mktemp("golden")
    command = [sys.executable, str(golden / "make_checkpoint.py"), str(reference), str(folder)]
    subprocess.run(command, check=True)  # noqa: S603 - the vectors' own script
    return folder


@pytest.fixture(scope="module")
def served(checkpoint: Path) -> Iterator[InProcessServer]:
    """The golden checkpoint in float32."""
    settings = Settings(model=str(checkpoint), served_model_name="golden", engine={"dtype": "float32"})
    server = InProcessServer(settings)
    yield server
    server.close()


def read_case(golden: Path, file: str, index: int) -> dict[str, Any]:
    case: dict[str, Any] = json.loads((golden / file).read_text())[index]
    return case


def messages_of(case: dict[str, Any], golden: Path) -> list[dict[str, Any]] | None:
    """The case as messages; None where only the engine's own interface can express it."""
    if case["images"] and case["num_crops"] not in THROUGH_HTTP:
        return None
    pictures = iter(case["images"])
    messages = []
    for turn in conversation_of(case["prompt"]).turns:
        parts: list[dict[str, Any]] = []
        for position, piece in enumerate(turn.pieces):
            if isinstance(piece, str):
                after_image = position > 0
                before_image = position + 1 < len(turn.pieces)
                if (after_image and not piece.startswith("\n")) or (before_image and piece not in ("", "\n")):
                    return None  # a tag in mid-line
                text = piece.removeprefix("\n") if after_image else piece
                parts += [{"type": "text", "text": text}] if text else []
            else:
                url = data_url((golden / next(pictures)).read_bytes())
                image_url = {"url": url, "detail": THROUGH_HTTP[case["num_crops"]]}
                parts.append({"type": "image_url", "image_url": image_url})
        messages.append({"role": turn.role, "content": parts})
    return messages


async def generate(server: InProcessServer, checkpoint: Path, golden: Path, case: dict[str, Any]) -> Delta:
    """Send a case straight to the engine adapter."""
    pictures = PictureService(PictureLimits(), workers=1)
    prompt = PromptEncoder.load(checkpoint / "tokenizer.json").encode(conversation_of(case["prompt"]))
    read = [await pictures.read(data_url((golden / name).read_bytes()), name) for name in case["images"]]
    plans = [plan_crops(*picture.size, case["num_crops"]) for picture in read]
    tokens = [plan.num_tokens for plan in plans]
    offsets = prompt.image_offsets(tokens)
    images = tuple(
        PromptImage(picture_key(picture.digest, plan), plan, offset, partial(pictures.crops, picture, plan))
        for picture, plan, offset in zip(read, plans, offsets, strict=True)
    )
    fields = {"temperature": 0, "logprobs": True, "top_logprobs": 20, "ignore_eos": True}
    request = ChatCompletionRequest.model_validate({"model": "golden", "messages": [{"role": "user", "content": ""}]} | fields)
    generation = Generation(f"case-{case['prompt_tokens']}", prompt.ids(tokens), images, request, len(case["steps"]))
    assert len(generation.prompt_ids) == case["prompt_tokens"]
    async with aclosing(server.services.engine.generate(generation)) as deltas:
        (delta,) = [delta async for delta in deltas]
    pictures.close()
    return delta


@pytest.mark.parametrize(("file", "index"), CASES)
def test_same_as_the_reference(served: InProcessServer, checkpoint: Path, golden: Path, file: str, index: int) -> None:
    """Prompt length, every token, and the log-probabilities of the twenty best candidates at every step."""
    case = read_case(golden, file, index)
    messages = messages_of(case, golden)
    expected_ids = [step["token"] for step in case["steps"]]
    expected = [sorted((logprob for _, logprob in step["top"]), reverse=True) for step in case["steps"]]
    if messages is None:
        delta = served.run(generate(served, checkpoint, golden, case))
        assert delta.positions is not None
        ids = list(delta.token_ids)
        found = [[candidate.logprob for candidate in position.top] for position in delta.positions]
        for position, step in zip(delta.positions, case["steps"], strict=True):
            by_id = {candidate.token_id: candidate.logprob for candidate in position.top}
            for token, logprob in step["top"][:10]:
                assert by_id[token] == pytest.approx(logprob, abs=TOLERANCE)
    else:
        with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
            completion = client.chat.completions.create(
                model="golden",
                messages=messages,  # type: ignore[arg-type]
                temperature=0,
                max_tokens=len(expected_ids),
                logprobs=True,
                top_logprobs=20,
                extra_body={"return_token_ids": True, "ignore_eos": True},
            )
        choice = completion.choices[0]
        assert len((completion.model_extra or {})["prompt_token_ids"]) == case["prompt_tokens"]
        assert completion.usage is not None
        assert completion.usage.prompt_tokens == case["prompt_tokens"]
        ids = (choice.model_extra or {})["token_ids"]
        assert choice.logprobs is not None
        found = [[c.logprob for c in entry.top_logprobs] for entry in choice.logprobs.content or ()]
    assert ids == expected_ids
    for values, wanted in zip(found, expected, strict=True):
        assert values[: len(wanted)] == pytest.approx(wanted, abs=TOLERANCE)


def test_most_cases_go_through_http(golden: Path) -> None:
    """Only another crop budget or a tag in mid-line needs the adapter."""
    through_adapter = [case for case in CASES if messages_of(read_case(golden, *case), golden) is None]
    assert through_adapter == [("logprobs.json", index) for index in (5, 6, 7, 8)]


def test_global_view_counts(served: InProcessServer, golden: Path) -> None:
    """The comparison can fail: another picture moves the log-probabilities by far more than the tolerance."""
    case = read_case(golden, "logprobs.json", 3)
    messages = messages_of(case | {"images": ["images/02_301x299_RGB.png"]}, golden)
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        completion = client.chat.completions.create(
            model="golden",
            messages=messages,
            temperature=0,
            max_tokens=1,
            logprobs=True,  # type: ignore[arg-type]
        )
    assert completion.choices[0].logprobs is not None
    (entry,) = completion.choices[0].logprobs.content or ()
    assert abs(entry.logprob - case["steps"][0]["top"][0][1]) > 10 * TOLERANCE
