"""Served in float32 on the golden checkpoint: the reference implementation's tokens and log-probabilities.

The reference's own checkpoint writer makes the weights; `logprobs*.json` hold what the reference model
answered greedily. They are short, and so have the model's short RoPE factors, on a server whose context is
long; at greater lengths transformers' Phi-3 is the reference.
"""

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest
import torch

from e2e.reference_model import ReferenceDecoder
from e2e.running import InProcessServer
from golden.vectors import conversation_of
from images import data_url
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.vocabulary import Vocabulary
from phiserve.config import Settings
from phiserve.core import GenerationRequest, ImagePlaceholder, RawPrompt, SamplingOptions, StopConditions
from phiserve.engine.interface import Delta, Generation, PromptImage
from phiserve.vision.images import ImageService, image_key
from phiserve.vision.limits import ImageLimits
from phiserve.vision.sizes import plan_crops

TOLERANCE = 0.03
"""Of a log-probability. Sums in another order move them by less than 0.0001.

On one machine of unknown kind they moved by 0.01, as products with TF32's eleven bits would. Those with
bfloat16's eight bits move them by 0.06 to 2.
"""

CASES = [("logprobs.json", index) for index in range(9)] + [
    ("logprobs_large.json", index) for index in range(2)
]
THROUGH_HTTP = {16: "high", 1: "low"}
"""max_crops that `detail` can express."""


@pytest.fixture(scope="module")
def checkpoint(golden: Path, reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden checkpoint, written by the script beside the vectors."""
    folder = tmp_path_factory.mktemp("golden")
    command = [sys.executable, str(golden / "make_checkpoint.py"), str(reference), str(folder)]
    subprocess.run(command, check=True)  # noqa: S603 - the vectors' own script
    return folder


@pytest.fixture(scope="module")
def served(checkpoint: Path) -> Iterator[InProcessServer]:
    """The golden checkpoint in float32, with a context beyond the short RoPE factors."""
    engine = {"dtype": "float32", "max_model_len": 12288, "kv_cache_memory_bytes": 2**28}
    settings = Settings(model=str(checkpoint), served_model_name=("golden",), engine=engine)
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
    images = iter(case["images"])
    messages = []
    for turn in conversation_of(case["prompt"]).turns:
        parts: list[dict[str, Any]] = []
        for index, part in enumerate(turn.parts):
            if isinstance(part, str):
                after_image = index > 0
                before_image = index + 1 < len(turn.parts)
                if (after_image and not part.startswith("\n")) or (before_image and part not in ("", "\n")):
                    return None  # a tag in mid-line
                text = part.removeprefix("\n") if after_image else part
                parts += [{"type": "text", "text": text}] if text else []
            else:
                url = data_url((golden / next(images)).read_bytes())
                image_url = {"url": url, "detail": THROUGH_HTTP[case["num_crops"]]}
                parts.append({"type": "image_url", "image_url": image_url})
        messages.append({"role": turn.role, "content": parts})
    return messages


async def generate(
    server: InProcessServer, checkpoint: Path, golden: Path, case: dict[str, Any], more: Sequence[int] = ()
) -> Delta:
    """Send a case straight to the engine adapter, its prompt followed by `more` tokens."""
    service = ImageService(ImageLimits(), workers=1)
    conversation = conversation_of(case["prompt"])
    prompt = PromptEncoder.load(checkpoint / "tokenizer.json").encode(conversation)
    urls = [data_url((golden / name).read_bytes()) for name in case["images"]]
    read = await service.read([ImagePlaceholder(url, "high", "image") for url in urls])
    plans = [plan_crops(*image.size, case["num_crops"]) for image in read]
    tokens = [plan.num_tokens for plan in plans]
    offsets = prompt.image_offsets(tokens)
    images = tuple(
        PromptImage(image_key(image.digest, plan), plan, offset, partial(service.crops, image, plan))
        for image, plan, offset in zip(read, plans, offsets, strict=True)
    )
    name, engine = f"case-{case['prompt_tokens']}", server.services.engine
    stops = StopConditions(max_tokens=len(case["steps"]), ignore_eos=True)
    admission = await engine.admit(
        GenerationRequest(name, conversation, SamplingOptions(temperature=0), stops, top_logprobs=20)
    )
    ids = prompt.ids(tokens)
    assert len(ids) == case["prompt_tokens"]
    generation = Generation(name, [*ids, *more], images, admission, len(case["steps"]))
    async with aclosing(engine.generate(generation)) as deltas:
        (delta,) = [delta async for delta in deltas]
    service.close()
    return delta


Candidates = list[list[tuple[bytes, float]]]
"""For each step, the twenty best candidates' bytes and log-probabilities."""


def through_http(
    server: InProcessServer, messages: Any, case: dict[str, Any]
) -> tuple[list[int], Candidates]:
    """Ask as a client does; ids and candidates."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        completion = client.chat.completions.create(
            model="golden",
            messages=messages,
            temperature=0,
            max_tokens=len(case["steps"]),
            logprobs=True,
            top_logprobs=20,
            extra_body={"return_token_ids": True, "ignore_eos": True},
        )
    (choice,) = completion.choices
    assert completion.usage is not None
    assert (
        len((completion.model_extra or {})["prompt_token_ids"])
        == case["prompt_tokens"]
        == completion.usage.prompt_tokens
    )
    assert choice.logprobs is not None
    entries = choice.logprobs.content or ()
    candidates = [[(bytes(top.bytes or ()), top.logprob) for top in entry.top_logprobs] for entry in entries]
    return (choice.model_extra or {})["token_ids"], candidates


def through_adapter(
    server: InProcessServer, checkpoint: Path, golden: Path, vocabulary: Vocabulary, case: dict[str, Any]
) -> tuple[list[int], Candidates]:
    """Ask the engine adapter; ids and candidates."""
    delta = server.run(generate(server, checkpoint, golden, case))
    assert delta.positions is not None
    tops = [
        [(vocabulary.bytes_of(top.token_id), top.logprob) for top in position.top]
        for position in delta.positions
    ]
    return list(delta.token_ids), [[(raw.removeprefix(b" "), p) for raw, p in tops[0]], *tops[1:]]


def expected_candidates(case: dict[str, Any], vocabulary: Vocabulary) -> Candidates:
    """The reference's; an answer's first token is shown without its prefix space."""
    tops = [
        [(vocabulary.bytes_of(token), logprob) for token, logprob in step["top"]] for step in case["steps"]
    ]
    return [[(raw.removeprefix(b" "), p) for raw, p in tops[0]], *tops[1:]]


@pytest.mark.parametrize(("file", "index"), CASES)
def test_same_as_the_reference(
    served: InProcessServer, checkpoint: Path, golden: Path, file: str, index: int
) -> None:
    """Prompt length, every token, and the log-probabilities of the twenty best candidates at every step."""
    case = read_case(golden, file, index)
    messages = messages_of(case, golden)
    vocabulary = Vocabulary.load(checkpoint / "tokenizer.json")
    if messages is None:
        ids, found = through_adapter(served, checkpoint, golden, vocabulary, case)
    else:
        ids, found = through_http(served, messages, case)
    assert ids == [step["token"] for step in case["steps"]]
    for ours, theirs in zip(found, expected_candidates(case, vocabulary), strict=True):
        assert [p for _, p in ours] == pytest.approx([p for _, p in theirs], abs=TOLERANCE)
        # At the end of the list, near ties may fall out of it on either side.
        clearly = min(p for _, p in ours) + TOLERANCE
        assert {raw for raw, p in theirs if p > clearly} <= {raw for raw, _ in ours}
        assert {raw for raw, p in ours if p > clearly} <= {raw for raw, _ in theirs}


def test_most_cases_go_through_http(golden: Path) -> None:
    """Only another max_crops or a tag in mid-line needs the adapter."""
    through_adapter = [case for case in CASES if messages_of(read_case(golden, *case), golden) is None]
    assert through_adapter == [("logprobs.json", index) for index in (5, 6, 7, 8)]


def test_another_image_is_told_apart(served: InProcessServer, golden: Path) -> None:
    """The comparison can fail: another image moves the log-probabilities by far more than the tolerance."""
    case = read_case(golden, "logprobs.json", 3)
    messages: Any = messages_of(case | {"images": ["images/02_301x299_RGB.png"]}, golden)
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
        completion = client.chat.completions.create(
            model="golden",
            messages=messages,
            temperature=0,
            max_tokens=1,
            logprobs=True,
        )
    assert completion.choices[0].logprobs is not None
    entry = (completion.choices[0].logprobs.content or [])[0]
    assert abs(entry.logprob - case["steps"][0]["top"][0][1]) > 10 * TOLERANCE


def text_ids(count: int) -> list[int]:
    """Ids of ordinary tokens, the first of them always the same."""
    draw = random.Random(4096)
    return [1, *(draw.randrange(100, 30_000) for _ in range(count - 1))]


Asked = Mapping[str, tuple[list[int], int]]
"""Prompts and lengths of their answers, by name."""


async def answers(server: InProcessServer, asked: Asked) -> dict[str, Delta]:
    """Answers to all at once, with log-probabilities, straight from the engine adapter."""

    async def answer(name: str, prompt: list[int], length: int) -> Delta:
        stops = StopConditions(max_tokens=length, ignore_eos=True)
        request = GenerationRequest(name, RawPrompt(tuple(prompt)), SamplingOptions(0), stops, top_logprobs=1)
        engine = server.services.engine
        generation = Generation(name, prompt, (), await engine.admit(request), length)
        async with aclosing(engine.generate(generation)) as deltas:
            (delta,) = [delta async for delta in deltas]
        return delta

    deltas = await asyncio.gather(*(answer(name, *question) for name, question in asked.items()))
    return dict(zip(asked, deltas, strict=True))


def chosen(delta: Delta) -> list[float]:
    """Log-probabilities of an answer's tokens."""
    return [position.chosen.logprob for position in delta.positions or ()]


def test_both_sets_of_rope_factors(served: InProcessServer, checkpoint: Path) -> None:
    """Below, across and beyond 4096 tokens of prompt and answer, in one batch, and once more from the prefix
    cache: each token is the reference's, which decides about the factors at each.
    """
    reference, text = ReferenceDecoder(checkpoint), text_ids(4400)
    asked = {"a": (text[:600], 8), "b": (text[:3000], 6), "across": (text[:4090], 14), "beyond": (text, 6)}
    first, again = (served.run(answers(served, asked)) for _ in range(2))
    for name, (prompt, length) in asked.items():
        ids = list(first[name].token_ids)
        expected = reference.logprobs(prompt, ids)
        assert list(again[name].token_ids) == ids == expected.argmax(-1).tolist()
        theirs = expected[torch.arange(length), ids].tolist()
        assert chosen(first[name]) == pytest.approx(theirs, abs=TOLERANCE)
        assert chosen(again[name]) == pytest.approx(theirs, abs=TOLERANCE)
        assert again[name].cached_tokens > len(prompt) - 2 * 128
    prompt, ids = asked["a"][0], list(first["a"].token_ids)
    others = reference.long_logprobs(prompt, ids)[torch.arange(len(ids)), ids]
    assert max(abs(others - torch.tensor(chosen(first["a"])))) > 10 * TOLERANCE  # the comparison can fail


def test_an_image_is_read_again(served: InProcessServer, checkpoint: Path, golden: Path) -> None:
    """An answer about an image goes on across 4096 tokens as one whose prompt is longer from the start."""
    case = read_case(golden, "logprobs.json", 3)
    more = text_ids(4090 - case["prompt_tokens"])
    across = served.run(generate(served, checkpoint, golden, case, more))
    number = len(case["steps"]) - 4
    longer = [*more, *across.token_ids[:number]]
    assert case["prompt_tokens"] + len(longer) > 4096
    beyond = served.run(generate(served, checkpoint, golden, case | {"steps": [None] * 4}, longer))
    assert beyond.token_ids == across.token_ids[number:]
    assert chosen(beyond) == pytest.approx(chosen(across)[number:], abs=TOLERANCE)
