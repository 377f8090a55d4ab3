"""Part `tools`: load generators of others, unmodified, against our server; what they say is kept beside the
run's file.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import metrics
from benchmarks.bench import Bench
from benchmarks.checkpoints import blank
from benchmarks.command import ROOT, environment
from benchmarks.environments import pins, prepare
from benchmarks.images import draw
from benchmarks.load_tools import Task, Tool, load_tools
from benchmarks.peers import PHISERVE, RunningPeer
from benchmarks.records import Record
from benchmarks.workloads import images, text

PINS = ROOT / "requirements" / "bench-tools.txt"
TIMEOUT_S = 300
IMAGES = 16


def tools(bench: Bench) -> None:
    """Run all against one server, one after another; one that fails or can't be installed is told and holds
    up no other.
    """
    requests, questions = _write_files(bench)
    # vLLM's tool names images of its own by file:// URLs.
    with bench.serving(PHISERVE, "small", PHISERVE_IMAGE_FOLDER=str(questions.parent.resolve())) as server:
        tokenizer = blank(bench.work, "small")
        for tool in load_tools(Task(server.url, tokenizer, questions, IMAGES, bench.count(20, 5))):
            print(f"tools: {tool.name}", flush=True)
            bench.results.add([_run(bench, server, tool, requests)])


def _run(bench: Bench, server: RunningPeer, tool: Tool, requests: Path) -> Record:
    """Run one; its output is kept whole. `succeeded`: it ended well, by its own account, and the server
    answered it something.
    """
    folder = bench.results.path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{tool.name.replace(', ', '-').replace(' ', '-')}.txt"
    began, counted = time.monotonic(), metrics.read(server.url)
    try:
        program = _program(tool)
        command = [*program, *tool.command]
        bench.results.command(tool.name, " ".join([*program[-1:], *tool.command]))
        variables = environment(BENCH_BODIES=str(requests), BENCH_URL=server.url, TRANSFORMERS_OFFLINE="1")
        with file.open("wb") as output:
            done = subprocess.run(
                command,
                env=variables,
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT_S,
                check=False,
            )
        status = done.returncode
    except (OSError, subprocess.SubprocessError) as error:
        bench.results.note(f"{tool.name} did not run: {type(error).__name__}: {str(error)[:200]}")
        status = 1
    tokens = metrics.change(counted, metrics.read(server.url))["generation_tokens"]
    measures = {
        "succeeded": float(status == 0 and tokens > 0),
        "seconds": time.monotonic() - began,
        "output_tokens": tokens,
    }
    return Record("tools", tool.name, "load tool", "", 0, measures)


def _program(tool: Tool) -> Sequence[str]:
    """What starts a tool, installed first if need be. Raises CalledProcessError."""
    if tool.package is None:
        return (sys.executable,)
    (pin,) = (line for line in pins(PINS) if line.startswith(f"{tool.package}=="))
    python = prepare(f"bench-{tool.package}", [pin], dependencies=True)
    return (str(python.with_name(tool.package)),)


def _write_files(bench: Bench) -> tuple[Path, Path]:
    """Requests as JSON lines, for tools that take bodies, and images with questions, as `custom_image` reads
    them.
    """
    folder = bench.work / "tools"
    folder.mkdir(parents=True, exist_ok=True)
    requests, questions = folder / "requests.jsonl", folder / "images.jsonl"
    requests.write_bytes(b"\n".join(images("640x480").bodies(4 * IMAGES)))
    lines = []
    for number in range(IMAGES):
        image = folder / f"{number}.jpg"
        image.write_bytes(draw("640x480", number))
        lines.append(json.dumps({"prompt": text(12, number), "image_files": [str(image)]}))
    questions.write_text("\n".join(lines), encoding="utf-8")
    return requests, questions
