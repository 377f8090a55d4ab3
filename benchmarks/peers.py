"""Servers side by side: what starts each, and one at a time running. Only what was started here is ended, by
process id.
"""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.command import PLAIN, environment
from benchmarks.local_http import ask
from benchmarks.processes import tree
from benchmarks.settings import EngineSettings
from benchmarks.workloads import MODEL

START_TIMEOUT_S = 900
END_TIMEOUT_S = 60
POLL_S = 0.05
PHISERVE = "phiserve"
VLLM = "vllm"


_SHOWN = (
    *("VLLM_PLUGINS", "PHISERVE_IMAGE_FOLDER", "PHISERVE_DECISION_ORDERS"),
    "PHISERVE_ENCODE_SLICE_MS",
)
"""Variables that decide what a server does."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What starts a server: its name in the report, its command and environment. The command ends before the
    port. `ready_path`: what answers 200 to GET, without a key, once the server serves.
    """

    name: str
    command: tuple[str, ...]
    variables: Mapping[str, str]
    ready_path: str = "/v1/models"

    @property
    def told(self) -> str:
        """The command as the report shows it."""
        shown = [f'{name}="{self.variables[name]}"' for name in _SHOWN if name in self.variables]
        return " ".join(
            [*shown, "python", *(f"'{part}'" if " " in part else part for part in self.command[1:])]
        )


@dataclass(frozen=True, slots=True)
class RunningPeer:
    """A server that answers. `ready_s`: seconds from its start to its first answer to GET `ready_path`."""

    name: str
    url: str
    pid: int
    ready_s: float


def phiserve(checkpoint: Path, settings: EngineSettings) -> Launch:
    """Ours, of this tree."""
    command = [
        sys.executable,
        "-m",
        "phiserve",
        "serve",
        "--model",
        str(checkpoint),
        "--served-model-name",
        MODEL,
    ]
    return Launch(PHISERVE, (*command, *settings.for_phiserve()), environment())


def demo_server(**variables: str) -> Launch:
    """Ours, of this tree, with the demo model and its defaults, but for settings in the environment."""
    command = (sys.executable, "-m", "phiserve", "serve", "--model", "phiserve-demo")
    return Launch(
        PHISERVE, (*command, "--served-model-name", MODEL), environment() | variables, ready_path="/ready"
    )


def plain_vllm(folder: Path, settings: EngineSettings, work: Path) -> Launch:
    """vLLM's own server on a folder with the model repository's code. By its module: the CPU build's command
    does not start.
    """
    command = [
        sys.executable,
        "-m",
        "vllm.entrypoints.openai.api_server",
        "--model",
        str(folder),
        "--served-model-name",
        MODEL,
    ]
    quiet = [
        "--trust-remote-code",
        "--disable-uvicorn-access-log",
        "--uvicorn-log-level",
        "warning",
        "--host",
        "127.0.0.1",
    ]
    return Launch(VLLM, (*command, *quiet, *settings.for_vllm()), plain_environment(work))


def plain_environment(work: Path) -> dict[str, str]:
    """Of processes that run vLLM without our plugin and with the model repository's code."""
    return environment(HF_MODULES_CACHE=str(work / "modules"), **PLAIN)


@contextmanager
def running(launch: Launch, log: Path) -> Iterator[RunningPeer]:
    """Start a server on a free port of 127.0.0.1, wait until it answers (RuntimeError if it does not), end it
    in any case.
    """
    port = _free_port()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            [*launch.command, "--port", str(port)],
            env=dict(launch.variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_ready(process, f"http://127.0.0.1:{port}", launch.ready_path, log)
            yield RunningPeer(launch.name, f"http://127.0.0.1:{port}", process.pid, time.monotonic() - began)
        finally:
            _end(process)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, path: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not _answers(url, path):
        if process.poll() is not None or time.monotonic() > deadline:
            end = log.read_text(encoding="utf-8", errors="replace")[-3000:]
            raise RuntimeError(f"the server did not start; the end of {log}:\n{end}")
        time.sleep(POLL_S)


def _answers(url: str, path: str) -> bool:
    try:
        return ask(url, "GET", path, timeout_s=5)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to end, then end what is left of its own processes."""
    started = tree(process.pid)
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=END_TIMEOUT_S)
    _, left = psutil.wait_procs([one for one in started if one.pid != process.pid], timeout=10)
    for one in left:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(left, timeout=10)
    if process.poll() is None:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
