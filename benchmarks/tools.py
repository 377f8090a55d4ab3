"""Part `tools`: load generators of others, unmodified, against our server; what they say is kept beside the
run's file.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import metrics
from benchmarks.bench import Bench
from benchmarks.checkpoints import blank
from benchmarks.command import ROOT, environment
from benchmarks.environments import pins, prepare
from benchmarks.images import draw
from benchmarks.peers import PHISERVE, RunningPeer
from benchmarks.records import Record
from benchmarks.workloads import MODEL, text

PINS = ROOT / "requirements" / "bench-tools.txt"
FILES = Path(__file__).parent / "tool_files"
TIMEOUT_S = 300
IMAGES = 16


@dataclass(frozen=True, slots=True)
class Tool:
    """A name, the distribution it comes in (none: the project's environment), and its command for a
    server.
    """

    name: str
    package: str | None
    command: tuple[str, ...]


def tools(bench: Bench) -> None:
    """Run all against one server, one after another; one that fails or can't be installed is told and holds
    up no other.
    """
    requests, images = _write_files(bench)
    # vLLM's tool names images of its own by file:// URLs.
    with bench.serving(PHISERVE, "small", PHISERVE_IMAGE_FOLDER=str(images.parent.resolve())) as server:
        for tool in _tools(bench, server, requests, images):
            print(f"tools: {tool.name}", flush=True)
            bench.results.add([_run(bench, server, tool, requests)])


def _tools(bench: Bench, server: RunningPeer, requests: Path, images: Path) -> list[Tool]:
    vllm = ("-m", "benchmarks.vllm_bench", "--backend", "openai-chat", "--endpoint", "/v1/chat/completions")
    tokenizer = str(blank(bench.work, "small"))
    asked = (
        "--base-url",
        server.url,
        "--model",
        MODEL,
        "--tokenizer",
        tokenizer,
        "--num-prompts",
        str(IMAGES),
    )
    few = ("--max-concurrency", "4", "--random-input-len", "64", "--random-output-len", "16", "--ignore-eos")
    one_image = (
        "--random-mm-base-items-per-request",
        "1",
        "--random-mm-bucket-config",
        "{(480, 640, 1): 1.0}",
    )
    custom = ("--dataset-path", str(images), "--custom-output-len", "16", "--max-concurrency", "4")
    seconds = str(bench.count(20, 5))
    aiperf = (
        "profile",
        "--model",
        MODEL,
        "--url",
        server.url,
        "--endpoint-type",
        "chat",
        "--streaming",
        "--concurrency",
        "4",
    )
    guide = (
        *(
            "run",
            "--backend",
            f"kind=openai_http,target={server.url},model={MODEL},request_format=/v1/chat/completions",
        ),
        *(
            "--data",
            "kind=synthetic_text,prompt_tokens=64,output_tokens=16",
            "--tokenizer",
            f"kind=hf_auto,model={tokenizer}",
        ),
        *("--profile", "kind=concurrent,streams=4", "--constraint", f"kind=max_duration,seconds={seconds}"),
    )
    return [
        Tool(
            "vllm bench serve, random-mm",
            None,
            (*vllm, "--dataset-name", "random-mm", *asked, *few, *one_image),
        ),
        Tool(
            "vllm bench serve, custom_image", None, (*vllm, "--dataset-name", "custom_image", *asked, *custom)
        ),
        Tool("aiperf", "aiperf", (*aiperf, "--request-count", str(IMAGES), *_AIPERF_IMAGES)),
        Tool("guidellm", "guidellm", guide),
        Tool("locust", "locust", (*_LOCUST, "--run-time", f"{seconds}s", "--host", server.url)),
        Tool("k6", "k6", ("run", "--vus", "4", "--duration", f"{seconds}s", str(FILES / "chat.js"))),
    ]


_AIPERF_IMAGES = (
    *("--image-width-mean", "640", "--image-height-mean", "480", "--osl", "16", "--isl", "64"),
    *("--tokenizer", "builtin"),  # it looks for any other on the hub
)
_LOCUST = (
    "--locustfile",
    str(FILES / "locustfile.py"),
    "--headless",
    "--only-summary",
    "--users",
    "4",
    "--spawn-rate",
    "4",
)


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
    requests, images = folder / "requests.jsonl", folder / "images.jsonl"
    requests.write_bytes(b"\n".join(images("640x480").bodies(4 * IMAGES)))
    lines = []
    for number in range(IMAGES):
        image = folder / f"{number}.jpg"
        image.write_bytes(draw("640x480", number))
        lines.append(json.dumps({"prompt": text(12, number), "image_files": [str(image)]}))
    images.write_text("\n".join(lines), encoding="utf-8")
    return requests, images
