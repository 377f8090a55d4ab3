"""Part `transformers`: short answers by `generate` in an environment of its own, against ours at 16
clients.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.checkpoints import MODEL_CODE, SHAPES
from benchmarks.command import ROOT
from benchmarks.environments import pins, prepare
from benchmarks.images import draw
from benchmarks.load import Closed
from benchmarks.peers import PHISERVE, RunningPeer, plain_environment
from benchmarks.records import Record
from benchmarks.session import Cell, measure, warm_up
from benchmarks.workloads import images, text, texts

NAME = "transformers"
PINS = ROOT / "requirements" / "bench-transformers.txt"
ANSWER_TOKENS = 16
CLIENTS = 16
ONE = "one at a time"
BATCH = "largest static batch"
TIMEOUT_S = 1200


def transformers_runs(bench: Bench) -> None:
    """Ours, then one request at a time, then the largest batch that goes, for text and photos; as often as
    the run repeats.
    """
    if bench.code is None or not all((bench.code / name).exists() for name in MODEL_CODE):
        bench.results.note(
            f"transformers was not measured: --reference-code must hold {', '.join(MODEL_CODE)}."
        )
        return
    try:
        python = prepare("bench-transformers", pins(PINS), dependencies=False)
    except subprocess.CalledProcessError as error:
        bench.results.note(f"transformers was not measured: its environment could not be made ({error}).")
        return
    for repetition in range(bench.repeat):
        with bench.serving(PHISERVE, "small") as server:
            bench.results.add(_ours(bench, server, repetition))
        for workload in ("text", "1 MP"):
            for batch in (1, CLIENTS):
                bench.results.add(_theirs(bench, python, workload, batch, repetition))


def _ours(bench: Bench, server: RunningPeer, repetition: int) -> Iterator[Record]:
    count = bench.count(48, CLIENTS)
    for first, workload in (
        (0, texts(answer_tokens=ANSWER_TOKENS)),
        (0, images("1 MP", answer_tokens=ANSWER_TOKENS)),
    ):
        warm_up(server, workload)
        yield measure(NAME, server, Cell(workload, Closed(CLIENTS), count, first), repetition)


def _theirs(bench: Bench, python: Path, workload: str, batch: int, repetition: int) -> Iterator[Record]:
    """A batch that does not go is halved until it does."""
    load = ONE if batch == 1 else BATCH
    while True:
        try:
            measures = _generate(bench, python, workload, batch)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            if batch == 1 or isinstance(error, subprocess.TimeoutExpired):
                bench.results.note(f"transformers failed on {workload}: {str(error)[-300:]}")
                return
            batch //= 2
            continue
        bench.results.note(f"transformers is {measures.pop('transformers')}, from {PINS.relative_to(ROOT)}.")
        yield Record(NAME, NAME, workload, load, repetition, measures)
        return


def _generate(bench: Bench, python: Path, workload: str, batch: int) -> dict[str, float]:
    command = [
        str(python),
        str(Path(__file__).with_name("generate.py")),
        "--model",
        str(bench.with_code("small")),
    ]
    amount = ["--batch", str(batch), "--answer-tokens", str(ANSWER_TOKENS)]
    amount += ["--dtype", bench.settings.dtype, "--clip-layers", str(SHAPES["small"].clip_layers)]
    bench.results.command(f"transformers, batch {batch}", " ".join([*command, *amount]))
    lines = "\n".join(json.dumps(request) for request in _requests(bench, workload))
    variables = plain_environment(bench.work / NAME) | {"TRANSFORMERS_OFFLINE": "1"}
    done = subprocess.run(
        [*command, *amount],
        input=lines,
        env=variables,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    try:
        found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise RuntimeError(done.stderr[-2000:]) from None
    return found


def _requests(bench: Bench, workload: str) -> Iterator[dict[str, object]]:
    """The questions that ours was asked, images as files."""
    folder = bench.work / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(bench.count(CLIENTS, 4) if workload != "text" else bench.count(2 * CLIENTS, CLIENTS)):
        if workload == "text":
            yield {"text": text(40, number), "pictures": []}
            continue
        file = folder / f"{workload.replace(' ', '-')}-{number}.jpg"
        if not file.exists():
            file.write_bytes(draw(workload, number))
        yield {"text": text(12, number), "pictures": [str(file)]}
