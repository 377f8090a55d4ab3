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
    """Connect to a server that runs, or to one started for the call.

    With `url`, only the server there is asked. With `checkpoint`, a server is always started. With neither,
    the server at `DEFAULT_URL` is asked, and one with the embedded demo model is started if nothing listens
    there. Raises StartupError, also where both are given.
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
    """Connect to a server that runs already; None if one is to be started.

    Raises StartupError.
    """
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
    """Start a server, and yield its URL.

    It ends with this process, however that ends, since its standard input ends then. Raises StartupError.
    """
    with tempfile.TemporaryDirectory(prefix="phiserve-") as folder:
        ready, log = Path(folder) / "url", Path(folder) / "log"
        # -P: the folder that the command is given in may hold anything, and its Python is not to be imported.
        command = [sys.executable, "-P", "-m", "phiserve", "serve", "--host", "127.0.0.1", "--port", "0"]
        command += ["--attached", "--ready-file", str(ready)]
        if checkpoint:
            command += ["--model", checkpoint]
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own command
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=os.environ | {"PHISERVE_STATE_URL": "off"},  # nobody could ask for what it stored
            )
        try:
            yield _wait(process, ready, log, console)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()  # the end of its standard input it notices only once it has imported everything
    try:
        process.wait(END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _wait(process: subprocess.Popen[bytes], ready: Path, log: Path, console: Console) -> str:
    """Show how the start goes until the server has written its URL, which is returned.

    Raises StartupError if the server ends before.
    """
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
    """The last line of the log that starts with `beginning`; empty if there is none.

    The engine may write lines of its own around phiserve's.
    """
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line for line in reversed(lines) if line.startswith(beginning)), "")
