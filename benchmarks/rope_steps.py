"""What it costs a step to choose each request's RoPE factors by its length: steps with and without, in turn.

usage: python -m benchmarks.rope_steps [--streams N] [--tokens N] [--work DIR]

One engine serves the small checkpoint with a long context, where the rest of a step takes least. Every ten
steps its scheduler and runner change between choosing and vLLM's own ways (`rope_engine`), so that whatever
else goes on hits both alike; each ten with are held against the tens around them. Ends in one JSON line.
"""

import argparse
import asyncio
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import aiohttp

from benchmarks.checkpoints import blank
from benchmarks.peers import phiserve, running
from benchmarks.settings import EngineSettings
from benchmarks.workloads import MODEL

PROMPT_TOKENS = 16
PLACES = 72
"""Sequences that may run, of which one owner gets 64."""
_CLASSES = {"scheduler_cls": "AlternatingScheduler", "worker_cls": "RememberedWorker"}


def main(arguments: Sequence[str]) -> int:
    """Measure, and print what a step takes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rope_steps")
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache/phiserve/bench")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        times = Path(folder, "times")
        launch = phiserve(blank(options.work, "small"), EngineSettings(max_num_seqs=PLACES))
        flags = [f"{kind}=benchmarks.rope_engine.{name}" for kind, name in _CLASSES.items()]
        command = [*launch.command, *(part for flag in flags for part in ("--engine", flag))]
        variables = {
            **launch.variables,
            "ROPE_STEPS_FILE": str(times),
            "ROPE_STEPS_STREAMS": str(options.streams),
        }
        launch = replace(launch, command=tuple(command), variables=variables)
        with running(launch, Path(folder, "log")) as server:
            asyncio.run(_stream(server.url, options.streams, options.tokens))
        if not times.exists():
            raise RuntimeError("no ten steps had all streams in them, and nothing else")
        blocks = [tuple(json.loads(line)) for line in times.read_text(encoding="utf-8").splitlines()]
    print(json.dumps({"benchmark": "rope_steps", "streams": options.streams, **compared(blocks)}))
    return 0


def compared(blocks: Sequence[tuple[bool, list[float]]]) -> dict[str, float]:
    """Of blocks in turn (whether factors are chosen, seconds of each step): a step's median milliseconds with
    and without, and by how many percent it is longer with, each block against the two around it.
    """
    medians = [(chooses, statistics.median(times)) for chooses, times in blocks]
    ratios = [
        one / math.sqrt(before * after)
        for (_, before), (chooses, one), (_, after) in zip(medians, medians[1:], medians[2:], strict=False)
        if chooses
    ]
    with_ms, without_ms = (
        statistics.median(value for chooses, value in medians if chooses is wanted) * 1000
        for wanted in (True, False)
    )
    return {
        "blocks": len(blocks),
        "with_ms": round(with_ms, 4),
        "without_ms": round(without_ms, 4),
        "longer_percent": round((statistics.median(ratios) - 1) * 100, 3),
    }


async def _stream(url: str, streams: int, tokens: int) -> None:
    """Have so many answers of so many tokens written at once."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(None)) as session:
        await asyncio.gather(*(_ask(session, url, number, tokens) for number in range(streams)))


async def _ask(session: aiohttp.ClientSession, url: str, number: int, tokens: int) -> None:
    prompt = [1, *(100 + number * PROMPT_TOKENS + place for place in range(PROMPT_TOKENS))]
    body = {"model": MODEL, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
    async with session.post(f"{url}/v1/completions", json=body) as response:
        response.raise_for_status()
        await response.read()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
