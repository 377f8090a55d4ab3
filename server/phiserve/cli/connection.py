"""A server to talk to: one that runs already, or one started for the call and ended with it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import openai
from rich.console import Console

from phiserve.cli.client import DEFAULT_URL, NothingListens, client_for, served_models
from phiserve.errors import StartupError

END_TIMEOUT_S = 30.0
_SENTENCE = "phiserve: "
"""How `phiserve serve` begins the sentence that says why it ends."""


@dataclass(frozen=True)
class Connection:
    """A client and the model to ask for."""

    client: openai.OpenAI
    model: str


@contextmanager
def connected(url: str | None, checkpoint: str | None, console: Console) -> Iterator[Connection]:
    """A running server at `url`, else one started for the call, with `checkpoint` or the embedded demo model.

    A checkpoint that is named is always served anew. Raises StartupError.
    """
    if url and checkpoint:
        raise StartupError("Give --url for a server that runs or --model for one to start, not both")
    running = _running(checkpoint, url)
    if running is not None:
        yield running
        return
    with _started(checkpoint, console) as address:
        yield _connect(address)


def _running(checkpoint: str | None, url: str | None) -> Connection | None:
    """A server that runs already; None if one is to be started. A URL that is given is meant."""
    if checkpoint:
        return None
    if url:
        return _connect(url)
    try:
        return _connect(DEFAULT_URL)
    except NothingListens:
        return None
    except StartupError as error:
        raise StartupError(f"{error}; --url names another, --model starts one") from None


def _connect(url: str) -> Connection:
    client = client_for(url)
    return Connection(client, served_models(client)[0])


@contextmanager
def _started(checkpoint: str | None, console: Console) -> Iterator[str]:
    """A server of our own; it ends with this process, whatever ends that, since its standard input does."""
    with tempfile.TemporaryDirectory(prefix="phiserve-") as folder:
        ready, log = Path(folder) / "url", Path(folder) / "log"
        # -P: the folder that the command is given in may hold anything, and its Python is not to be imported.
        command = [sys.executable, "-P", "-m", "phiserve", "serve", "--host", "127.0.0.1", "--port", "0"]
        command += ["--attached", "--ready-file", str(ready)]
        if checkpoint:
            command += ["--model", checkpoint]
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own command
                command, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
            )
        try:
            yield _wait(process, ready, log, console)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.communicate(timeout=END_TIMEOUT_S)  # closes its standard input
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _wait(process: subprocess.Popen[bytes], ready: Path, log: Path, console: Console) -> str:
    """Show how the start goes until the server has written its URL."""
    began = time.monotonic()
    with console.status("Starting a server …") as status:
        while not ready.exists():
            if process.poll() is not None:
                reason = _last_line(log, _SENTENCE).removeprefix(_SENTENCE)
                raise StartupError(reason or "The server ended while starting; phiserve serve shows why")
            status.update(
                f"{_last_line(log, 'phiserve ') or 'Starting a server …'} {time.monotonic() - began:.0f} s"
            )
            time.sleep(0.1)
    console.print("[dim]`phiserve serve` in another terminal keeps it loaded for the next time[/]")
    return ready.read_text(encoding="utf-8")


def _last_line(log: Path, beginning: str) -> str:
    """The last of phiserve's own lines; the engine may say more around them."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line for line in reversed(lines) if line.startswith(beginning)), "")
