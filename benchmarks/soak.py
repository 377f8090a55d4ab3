"""The soak: mixed load on a server whose engine is killed again and again, with clients that hang up, read
slowly, stop half-way, have no key, and send what is no image.

usage: python -m benchmarks.soak [--minutes 30] [--kills 5] [--results FILE]

Every request must be answered whole, refused with a status and an error in OpenAI's shape, or told within its
stream; anything else is a violation. Memory, threads, descriptors and the engine's requests must be flat.
Writes a JSON file and a graph; ends in one JSON line, with status 1 if anything failed.
"""

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.command import ROOT, environment
from benchmarks.keys import write_keys
from benchmarks.local_http import ask
from benchmarks.machine import commit, machine, versions
from benchmarks.metrics import values
from benchmarks.peers import RunningPeer, demo_server, running
from benchmarks.records import Context
from benchmarks.soak_fates import VIOLATION, Fate
from benchmarks.soak_report import SPARE, Soak, write_soak
from benchmarks.soak_samples import Sample, descriptors, engine_of, sample

KEYS = ("a", "b")
READ_TIMEOUT_S = 20
EVERY_S = 2.0
WARM_UP_S = 45.0
DRAIN_S = 90.0
RESTART_S = 240.0
LOAD_START_S = 240.0
SETTINGS = {
    "PHISERVE_READ_TIMEOUT_S": str(READ_TIMEOUT_S),
    "PHISERVE_ENGINE__MM_PROCESSOR_CACHE_GB": "0.25",
    "PHISERVE_ENGINE__KV_CACHE_MEMORY_BYTES": str(2**28),
}
"""Caches that are full soon, so that what grows later is no cache; and a timeout that a short run sees."""


@dataclass
class Loads:
    """Processes of load, one for each key, and what they tell."""

    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)
    begun: int = 0
    ready: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def start(self, url: str, seed: str) -> None:
        """One process for each key; wait until they begin. Raises RuntimeError if they don't."""
        for key in KEYS:
            command = [sys.executable, "-m", "benchmarks.soak_load", url, key, f"{seed}{key}"]
            process = subprocess.Popen(
                [*command, str(READ_TIMEOUT_S)],
                env=environment(),
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            thread = threading.Thread(target=self._read, args=[process])
            thread.start()
            self.processes.append(process)
            self.threads.append(thread)
        for _ in KEYS:
            if not self.ready.acquire(timeout=LOAD_START_S):
                raise RuntimeError("the load does not begin")

    def stop(self) -> None:
        """Begin no more requests, and wait for those that have begun. Raises RuntimeError if a process
        failed.
        """
        for process in self.processes:
            if process.stdin is not None:
                process.stdin.close()
        for thread in self.threads:
            thread.join()
        if any(process.wait() for process in self.processes):
            raise RuntimeError("a process of the load has failed")

    def _read(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            told = json.loads(line)
            if "ready" in told:
                self.ready.release()
                continue
            if "begun" in told:
                self.begun += told["begun"]
                continue
            fate = Fate(**told)
            self.fates.append(fate)
            if fate.fate == VIOLATION:
                print(f"VIOLATION at {fate.at_s:.0f} s: {fate}", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Soak a server and write down what became of it; 1 if anything failed."""
    options = _options(arguments)
    began = datetime.now(UTC)
    folder = ROOT / "benchmarks"
    file = options.results or folder / "results" / f"{began:%Y%m%d-%H%M%S}-soak.json"
    graph = file.with_suffix(".svg") if options.results else folder / "plots" / "soak.svg"
    shown = {"minutes": options.minutes, "kills": options.kills, "settings": SETTINGS}
    command = f"python -m benchmarks.soak --minutes {options.minutes:g} --kills {options.kills}"
    versioned = {"commit": commit(), **versions()}
    context = Context(began.strftime("%Y-%m-%d %H:%M UTC"), command, shown, machine(), versioned)
    with tempfile.TemporaryDirectory() as scratch:
        keys = write_keys(Path(scratch, "keys.yaml"), *KEYS)
        restarts = str(options.kills + 3)
        launch = demo_server(PHISERVE_KEYS_FILE=str(keys), PHISERVE_MAX_ENGINE_RESTARTS=restarts, **SETTINGS)
        with running(launch, options.log) as server:
            soak = _soak(server, context, options.minutes * 60, options.kills)
    write_soak(soak, file, graph)
    failed = [name for name, passed in soak.checks.items() if not passed]
    print(json.dumps({"benchmark": "soak", "failed": failed, "results": str(file), "graph": str(graph)}))
    return 1 if failed else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--kills", type=int, default=5, help="how often the engine is killed")
    parser.add_argument("--results", type=Path, help="file to write; the graph is written beside it")
    logs = Path.home() / ".cache" / "phiserve" / "bench" / "logs"
    parser.add_argument("--log", type=Path, default=logs / "soak.log", help="what the server says")
    return parser.parse_args(arguments)


def _soak(server: RunningPeer, context: Context, seconds: float, kills: int) -> Soak:
    """Warm up, look at the server at rest, soak it, and look at it at rest again."""
    print(f"server {server.pid} at {server.url}, warming up", flush=True)
    with _loaded(server, "w"):
        time.sleep(WARM_UP_S)
    before = _at_rest(server, None)
    opened_before = descriptors(server.pid)
    print(f"at rest: {before}", flush=True)
    samples: list[Sample] = []
    deaths: list[float] = []
    recoveries: list[float] = []
    with _loaded(server, "s") as loads:
        began = time.monotonic()
        watching = threading.Thread(target=_kill_engines, args=[server, seconds, kills, deaths, recoveries])
        watching.start()
        while (now := time.monotonic() - began) < seconds:
            samples.append(sample(server.pid, now, unfinished(server)))
            time.sleep(max(0.0, EVERY_S - (time.monotonic() - began - now)))
        watching.join()
    after = _at_rest(server, before)
    opened = descriptors(server.pid)
    more = {kind: opened.get(kind, 0) - opened_before.get(kind, 0) for kind in opened | opened_before}
    more = {kind: count for kind, count in more.items() if count}
    print(f"at rest: {after}\nopened: {more}", flush=True)
    return Soak(
        context,
        samples,
        loads.fates,
        loads.begun,
        deaths,
        recoveries,
        kills,
        before,
        after,
        more,
        counted(server),
    )


@contextmanager
def _loaded(server: RunningPeer, seed: str) -> Iterator[Loads]:
    """Loads while the block runs, and until they have ended."""
    loads = Loads()
    try:
        loads.start(server.url, seed)
        yield loads
    finally:
        loads.stop()


def _kill_engines(
    server: RunningPeer, seconds: float, kills: int, deaths: list[float], recoveries: list[float]
) -> None:
    """Kill the engine at even intervals: when, and seconds until the server was ready again."""
    began = time.monotonic()
    for number in range(1, kills + 1):
        time.sleep(max(0.0, began + seconds * number / (kills + 1) - time.monotonic()))
        _wait_until(lambda: _ready(server), RESTART_S)
        engine = engine_of(server.pid)
        if engine is None:
            continue
        print(f"kill {number} at {time.monotonic() - began:.0f} s: {engine.pid}", flush=True)
        killed = time.monotonic()
        deaths.append(killed - began)
        engine.kill()
        _wait_until(lambda: not _ready(server), 30)
        if _wait_until(lambda: _ready(server), RESTART_S):
            recoveries.append(time.monotonic() - killed)


def _at_rest(server: RunningPeer, wanted: Sample | None) -> Sample:
    """The server once the engine holds no request, and as few threads and descriptors as `wanted` are left,
    or after `DRAIN_S`.
    """
    _wait_until(lambda: unfinished(server) == 0, DRAIN_S)
    time.sleep(5)  # connections of clients that have ended are closed, and threads
    if wanted is not None:
        _wait_until(lambda: _no_more(sample(server.pid, 0, unfinished(server)), wanted), DRAIN_S)
    return sample(server.pid, 0, unfinished(server))


def _no_more(found: Sample, wanted: Sample) -> bool:
    few_threads = found.api_threads <= wanted.api_threads + SPARE
    return few_threads and found.api_descriptors <= wanted.api_descriptors + SPARE


def unfinished(server: RunningPeer) -> float:
    """Requests that the engine holds, running and waiting; -1 where the server does not say."""
    found = counted(server)
    names = ("vllm:num_requests_running", "vllm:num_requests_waiting")
    return sum(found[name] for name in names) if found.keys() >= {*names} else -1


def counted(server: RunningPeer) -> dict[str, float]:
    """All metrics of the server; none where it does not answer."""
    with suppress(OSError, http.client.HTTPException):
        return values(ask(server.url, "GET", "/metrics", timeout_s=30, key=KEYS[0])[1].decode())
    return {}


def _wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it came to hold within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _ready(server: RunningPeer) -> bool:
    with suppress(OSError, http.client.HTTPException):
        return ask(server.url, "GET", "/ready", timeout_s=30)[0] == 200
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
