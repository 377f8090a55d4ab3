"""What an owner's short requests notice of another's flood: their latency alone and during it, in turn, on
one server.

usage: python -m benchmarks.fairness [--rounds N] [--requests N] [--longest SECONDS] [--results FILE]

Owner B asks short questions, one after the other; owner A floods the server from a process of its own
(`flood`). Phases alternate: alone, a flood, alone, the next flood; each flood is held against the phases
around it. Wanted: at most 2x at the median and 4x at the 99th percentile. Ends in one JSON line.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.answers import first_token_ms
from benchmarks.command import ROOT, environment
from benchmarks.figures import percentile
from benchmarks.flood import FLOODS
from benchmarks.keys import write_keys
from benchmarks.load import Answer, ask, with_session
from benchmarks.machine import commit, machine, versions
from benchmarks.metrics import values
from benchmarks.peers import RunningPeer, demo_server, running
from benchmarks.records import Context, Record, ResultsFile
from benchmarks.tables import markdown
from benchmarks.workloads import texts

WANTED = {50: 2.0, 99: 4.0}
"""Percentile -> how many times the latency alone it may be."""

FIRST_OF_B = 10_000_000
"""B's numbers begin here: no prompt is shared with A's."""

FLOOD_STRIDE = 1_000
"""Numbers of one flood."""

DRAIN_TIMEOUT_S = 120
ALONE = "alone"


@dataclass(frozen=True, slots=True)
class Phase:
    """B's answers during a flood (or alone), and the tokens that each owner got a second."""

    kind: str
    answers: tuple[Answer, ...]
    a_tokens_per_s: float
    b_tokens_per_s: float
    flood: dict[str, Any]

    @property
    def latencies_ms(self) -> list[float]:
        """Milliseconds from sending a request to its answer's end, of those that were answered."""
        return [(one.ended_s - one.began_s) * 1000 for one in self.answers if one.succeeded]


def main(arguments: Sequence[str]) -> int:
    """Measure; 1 if a ratio is above what is wanted."""
    options = _options(arguments)
    began = datetime.now(UTC)
    file = options.results or ROOT / "benchmarks" / "results" / f"{began:%Y%m%d-%H%M%S}-fairness.json"
    shown = {"rounds": options.rounds, "requests": options.requests, "longest_s": options.longest}
    results = ResultsFile(
        file,
        Context(
            began.strftime("%Y-%m-%d %H:%M UTC"),
            "python -m benchmarks.fairness",
            shown,
            machine(),
            {"commit": commit(), **versions()},
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        keys = write_keys(Path(folder, "keys.yaml"), "a", "b")
        launch = demo_server(PHISERVE_KEYS_FILE=str(keys), PHISERVE_LOG_REQUESTS="off")
        with running(launch, file.with_suffix(".log")) as server:
            phases = _measure(server, options)
    records = [compared(kind, phases) for kind in FLOODS]
    results.add(records)
    table = table_of(records)
    file.with_suffix(".md").write_text(table + "\n", encoding="utf-8")
    print(table)
    missed = [record.workload for record in records if not is_fair(record)]
    print(json.dumps({"benchmark": "fairness", "missed": missed, "results": str(file)}))
    return 1 if missed else 0


def compared(kind: str, phases: Sequence[Phase]) -> Record:
    """A flood's phases against those around them."""
    at = [index for index, phase in enumerate(phases) if phase.kind == kind]
    near = sorted({beside for index in at for beside in (index - 1, index + 1)})
    alone = [value for index in near for value in phases[index].latencies_ms]
    answers = [answer for index in at for answer in phases[index].answers]
    flooded = [value for index in at for value in phases[index].latencies_ms]
    first = [first_token_ms(answer) for answer in answers if answer.succeeded and answer.arrivals_s]
    measures = {
        "requests": float(len(answers)),
        "failed": float(sum(not answer.succeeded for answer in answers)),
        "requests_alone": float(len(alone)),
        "a_tokens_per_s": sum(phases[index].a_tokens_per_s for index in at) / len(at),
        "b_tokens_per_s": sum(phases[index].b_tokens_per_s for index in at) / len(at),
        "b_tokens_per_s_alone": sum(phases[index].b_tokens_per_s for index in near) / len(near),
    }
    for name in ("answered", "refused"):
        measures[f"a_{name}"] = float(sum(phases[index].flood[name] for index in at))
    measures["a_failed"] = float(sum(sum(phases[index].flood["failures"].values()) for index in at))
    measures["a_refusal_p99_ms"] = max(phases[index].flood.get("refusal_p99_ms", 0.0) for index in at)
    for percent in WANTED:
        before, during = percentile(alone, percent), percentile(flooded or [float("inf")], percent)
        measures |= {
            f"alone_p{percent}_ms": before,
            f"flooded_p{percent}_ms": during,
            f"ratio_p{percent}": during / before,
        }
    if first:
        measures["flooded_ttft_p50_ms"] = percentile(first, 50)
    return Record("fairness", "phiserve", kind, "one after the other", 0, measures)


def is_fair(record: Record) -> bool:
    """Whether all ratios are within what is wanted, and nothing of B's failed."""
    within = all(record.measures[f"ratio_p{percent}"] <= most for percent, most in WANTED.items())
    return within and not record.measures["failed"]


def table_of(records: Sequence[Record]) -> str:
    """One line for each flood, in Markdown."""
    rows = []
    for record in records:
        measure = record.measures
        ratios = [f"{measure[f'ratio_p{percent}']:.2f}" for percent in WANTED]
        latencies = [
            f"{measure[f'{when}_p{percent}_ms']:.0f}" for percent in WANTED for when in ("alone", "flooded")
        ]
        counts = [f"{measure[name]:.0f}" for name in ("a_tokens_per_s", "b_tokens_per_s", "a_refused")]
        failed = f"{measure['failed']:.0f} of {measure['requests']:.0f}"
        rows.append(
            [record.workload, *latencies, *ratios, *counts, f"{measure['a_refusal_p99_ms']:.0f}", failed]
        )
    titles = ["flood of A", "B alone p50 ms", "flooded p50", "alone p99", "flooded p99", "x p50 (2)"]
    titles += ["x p99 (4)", "A tokens/s", "B tokens/s", "A refused", "refusal p99 ms", "B failed"]
    return markdown(titles, rows)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2, help="how often every flood has its turn")
    parser.add_argument("--requests", type=int, default=60, help="B's requests in a phase at most")
    parser.add_argument("--longest", type=float, default=60, help="seconds of a phase at most")
    parser.add_argument("--results", type=Path, help="file to write; its table is written beside it")
    return parser.parse_args(arguments)


def _measure(server: RunningPeer, options: argparse.Namespace) -> list[Phase]:
    """All phases, one after the other; the first and the last are B alone."""
    numbers, floods = count(FIRST_OF_B), count(1)

    def phase(kind: str) -> Phase:
        """One phase, told when it has ended."""
        with _flooding(server, kind, next(floods) * FLOOD_STRIDE) as told:
            done = _phase(server, kind, options, numbers)
        found = Phase(*done, told)
        latencies = found.latencies_ms or [float("inf")]
        print(
            f"{kind}: {len(found.answers)} requests, median {percentile(latencies, 50):.0f} ms, "
            f"p99 {percentile(latencies, 99):.0f} ms {told or ''}",
            flush=True,
        )
        _wait_until_idle(server)
        return found

    phase(ALONE)  # warms up
    phases = [phase(ALONE)]
    for _ in range(options.rounds):
        for kind in FLOODS:
            phases += [phase(kind), phase(ALONE)]
    return phases


def _phase(
    server: RunningPeer, kind: str, options: argparse.Namespace, numbers: Iterator[int]
) -> tuple[str, tuple[Answer, ...], float, float]:
    """What `Phase` holds, but for what the flood says."""
    short = texts(8, 16)

    async def work(session: aiohttp.ClientSession) -> tuple[tuple[Answer, ...], float, float]:
        """B's requests, and all tokens and B's own per second."""
        answers: list[Answer] = []
        began, before = time.monotonic(), await _gauges(session, server.url)
        while len(answers) < options.requests and time.monotonic() < began + options.longest:
            answers.append(await ask(session, server.url, short.body(next(numbers))))
        seconds, after = time.monotonic() - began, await _gauges(session, server.url)
        tokens = after["vllm:generation_tokens_total"] - before.get("vllm:generation_tokens_total", 0.0)
        return tuple(answers), tokens / seconds, sum(answer.tokens for answer in answers) / seconds

    answers, all_tokens, own_tokens = with_session(work, "b")
    return kind, answers, all_tokens - own_tokens, own_tokens


async def _gauges(session: aiohttp.ClientSession, url: str) -> dict[str, float]:
    async with session.get(f"{url}/metrics") as response:
        return values(await response.text())


def _wait_until_idle(server: RunningPeer) -> None:
    """Wait until the engine has no request left. Raises TimeoutError."""

    async def work(session: aiohttp.ClientSession) -> None:
        """Ask four times a second."""
        async with asyncio.timeout(DRAIN_TIMEOUT_S):
            while True:
                found = await _gauges(session, server.url)
                if not found["vllm:num_requests_running"] + found["vllm:num_requests_waiting"]:
                    return
                await asyncio.sleep(0.25)

    with_session(work, "b")


@contextmanager
def _flooding(server: RunningPeer, kind: str, first: int) -> Iterator[dict[str, Any]]:
    """A's flood while the block runs; its own account is in the dictionary afterwards. None for `ALONE`."""
    told: dict[str, Any] = {}
    if kind == ALONE:
        yield told
        return
    command = [sys.executable, "-m", "benchmarks.flood", server.url, "a", kind, str(first)]
    with subprocess.Popen(
        command, env=environment(), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdout is None or not process.stdout.readline():
            raise RuntimeError("the flood did not begin")
        yield told
        said, _ = process.communicate()
        told |= json.loads(said)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
