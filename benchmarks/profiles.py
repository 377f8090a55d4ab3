"""Part `profile`: what the API process and the engine are at while 64 texts are streamed, as py-spy samples
them.

py-spy must be allowed to look into processes that it did not start: as root, or with
`kernel.yama.ptrace_scope` 0.
"""

import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.command import ROOT
from benchmarks.environments import pins, prepare
from benchmarks.load import Closed, send
from benchmarks.peers import RunningPeer
from benchmarks.processes import use
from benchmarks.records import Record
from benchmarks.session import STRIDE, warm_up
from benchmarks.workloads import texts

NAME = "profile"
PINS = ROOT / "requirements" / "bench-profile.txt"
CLIENTS = 64
WAIT_S = 60

Frames = Sequence[str]

_MAIN_LOOPS = ("run_busy_loop", "worker_busy_loop", "uvloop/__init__.py")
"""What the samples of a process's main thread have in them; others serve sockets beside it."""

_STEPS = (
    ("waiting for another process", "shm_broadcast"),
    ("output matrix", "compute_logits"),
    ("other matrix products", "cpu_unquantized_gemm"),
    ("attention", "cpu_attention_with_kv_cache"),
    ("rest of the model", "_model_forward"),
    ("sampling", "sample_tokens"),
    ("making a batch", "execute_model"),
    ("scheduler", "sched/scheduler.py"),
)
"""What a step consists of, and a function that only its samples have; the first that fits."""


def profile(bench: Bench) -> None:
    """Sample all processes of all peers in turn."""
    try:
        spy = prepare("bench-profile", pins(PINS), dependencies=False).with_name("py-spy")
    except subprocess.CalledProcessError as error:
        bench.results.note(f"Nothing was profiled: py-spy could not be installed ({error}).")
        return
    bench.in_turn(NAME, "small", lambda server, repetition: _profile(bench, spy, server, repetition))


def shares(samples: Iterable[str], name_of: Callable[[Frames], str]) -> dict[str, float]:
    """Per cent of a main thread's samples by `name_of` their frames (outermost first). Samples are py-spy's,
    raw.
    """
    counts: Counter[str] = Counter()
    for sample in samples:
        stack, _, count = sample.rstrip().rpartition(" ")
        if any(loop in stack for loop in _MAIN_LOOPS):
            counts[name_of(stack.split(";"))] += int(count)
    return {f"{name}, %": 100 * count / counts.total() for name, count in counts.most_common()}


def step_of(frames: Frames) -> str:
    """The part of an engine's step."""
    stack = ";".join(frames)
    return next((name for name, function in _STEPS if function in stack), "rest")


def package_of(frames: Frames) -> str:
    """Whose code the innermost frame is, and what it called in C: `send (uvicorn/protocols/…:544)` ->
    `uvicorn`.
    """
    file = frames[-1].rpartition("(")[2]
    return file.partition("/")[0].partition(".py")[0] if "/" in file else "Python"


def _profile(bench: Bench, spy: Path, server: RunningPeer, repetition: int) -> Iterator[Record]:
    workload = texts(answer_tokens=128)
    warm_up(server, workload)
    bodies = workload.bodies(bench.count(6, 2) * CLIENTS, repetition * STRIDE)
    folder = bench.work / NAME
    folder.mkdir(parents=True, exist_ok=True)
    processes = {used.role: pid for pid, used in use(server.pid).items() if used.role != "other"}
    files = {role: folder / f"{server.name}-{role}.txt" for role in processes}
    with ExitStack() as sampled:
        for role, pid in processes.items():
            sampled.enter_context(_sampled(spy, pid, files[role]))
        send(Closed(CLIENTS), server.url, bodies)
    for role, file in files.items():
        measures = shares(
            file.read_text(encoding="utf-8").splitlines(), package_of if role == "api" else step_of
        )
        yield Record(NAME, server.name, f"{role} process", f"{CLIENTS} clients", repetition, measures)


@contextmanager
def _sampled(spy: Path, pid: int, file: Path) -> Iterator[None]:
    """Sample a process meanwhile. Raises RuntimeError where py-spy may not."""
    file.unlink(missing_ok=True)
    command = [str(spy), "record", "--pid", str(pid), "--format", "raw", "--output", str(file)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as recording:
        try:
            yield
        finally:
            recording.send_signal(signal.SIGINT)
            _, said = recording.communicate(timeout=WAIT_S)
    if not file.exists():
        raise RuntimeError(f"py-spy: {said.strip()[-200:]}")
