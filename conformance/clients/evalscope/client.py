"""evalscope perf: questions, random texts and random images; the tokenizer comes from the server."""

import json
import shutil
from pathlib import Path

from checks import BASE_URL, KEY, MODEL, output_of, run
from huggingface_hub import snapshot_download

SERVER = BASE_URL.removesuffix("/v1")
COUNT = 4
QUESTIONS = Path("questions.jsonl")
QUESTIONS.write_text("\n".join(json.dumps({"question": f"What is {n} and {n}?"}) for n in range(COUNT)))


def _run(*options: str, url: str = f"{BASE_URL}/chat/completions", api: str = "openai") -> str:
    """Run it for a few requests, of which all must be answered."""
    folder = Path("outputs")
    shutil.rmtree(folder, ignore_errors=True)
    output_of(
        *("evalscope", "perf", "--model", MODEL, "--url", url, "--api", api, "--api-key", KEY),
        *("--number", str(COUNT), "--outputs-dir", str(folder), *options),
    )
    (report,) = folder.rglob("benchmark_summary.json")
    counts = json.loads(report.read_text())
    answered, failed = counts["Success Requests"], counts["Failed Requests"]
    assert (answered, failed) == (COUNT, 0), counts
    return f"{answered:g} requests, none failed"


def tokenizer() -> str:
    """A folder with the server's tokenizer: it looks for others on ModelScope's hub alone."""
    return snapshot_download(MODEL, endpoint=SERVER, token=KEY)


def default() -> str:
    """Questions, by chat completions; streamed."""
    return _run("--dataset", "openqa", "--dataset-path", str(QUESTIONS))


def whole() -> str:
    """Not streamed."""
    return _run("--dataset", "openqa", "--dataset-path", str(QUESTIONS), "--no-stream")


def random_texts() -> str:
    """Texts of so many tokens."""
    lengths = ("--min-prompt-length", "64", "--max-prompt-length", "64", "--max-tokens", "16")
    return _run("--dataset", "random", "--tokenizer-path", tokenizer(), *lengths)


def picture() -> str:
    """Random images beside random texts."""
    lengths = ("--min-prompt-length", "16", "--max-prompt-length", "16", "--max-tokens", "16")
    return _run("--dataset", "random_vl", "--tokenizer-path", tokenizer(), *lengths)


def completions() -> str:
    """Questions, by completions."""
    options = ("--dataset", "openqa", "--dataset-path", str(QUESTIONS), "--max-tokens", "16")
    return _run(*options, url=f"{BASE_URL}/completions")


def responses() -> str:
    """Questions, by responses."""
    options = ("--dataset", "openqa", "--dataset-path", str(QUESTIONS))
    return _run(*options, url=f"{BASE_URL}/responses", api="openai_responses")


run(
    {
        "default": default,
        "stream": default,
        "picture": picture,
        "whole": whole,
        "random_texts": random_texts,
        "completions": completions,
        "responses": responses,
    }
)
