"""Runs real clients, each in an environment of its own, against one server of the demo model, through a proxy
that keeps what they ask.

usage: make clients [ARGS="CLIENT …"]     or python -m conformance.client_runs [http://ADDRESS] [CLIENT …]

Prints what each of their checks found. Writes CLIENTS.md, `clients/*/results.json`, and the requests, which
tests/e2e/test_recorded_requests.py replays without the clients. Exits with 1 where a client that must be
green is not.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TextIO

from conformance.client_environments import Client, prepare, read_clients, variables
from conformance.client_proxy import Exchange, RecordingProxy
from conformance.client_recording import Request, kept, scrubbed, with_named_ids_only, write
from conformance.client_results import (
    Checked,
    Result,
    model_knows_the_tools,
    unmet,
    version_of,
    without_lessons,
    write_result,
)
from conformance.client_table import write_table
from conformance.environment import ROOT
from e2e.running import server_process
from phiserve.checkpoint.embedded import DEMO_NAME

NAMES = f"{DEMO_NAME},gpt-4o"
"""What the server calls its model; some clients take no names but those that they know."""

IMAGE = ROOT / "docs" / "images" / "shapes.png"


def main(arguments: Sequence[str]) -> int:
    """Run the named clients, or all, against a server of our own or the given one; the exit status."""
    given = [argument for argument in arguments if argument.startswith("http://")]
    clients = read_clients([argument for argument in arguments if argument not in given])
    for client in clients:
        print(f"{client.name}: environment", flush=True)
        prepare(client)
    with nullcontext(given[0]) if given else _own_server() as url:
        proxy = RecordingProxy(url)
        try:
            results = [run(client, proxy, DEMO_NAME) for client in clients]
        finally:
            proxy.close()
    write_table()
    missing = [result.client.name for result in results if result.client.required and not result.green]
    print(f"must be green and is not: {', '.join(missing)}" if missing else "all that must be green is")
    return 1 if missing else 0


@contextmanager
def _own_server() -> Iterator[str]:
    """The address of a server as users get it, but for a second name of its model."""
    with server_process(model=None, PHISERVE_LOG_REQUESTS="off", PHISERVE_SERVED_MODEL_NAME=NAMES) as server:
        server.wait_until_ready()
        yield server.url


def run(client: Client, proxy: RecordingProxy, model: str) -> Result:
    """Run one client and write what came of it."""
    proxy.taken()
    requests: list[Request] = []
    checks: list[Checked] = []
    for checked, exchanges in _checks(client, proxy, variables(client, proxy.url, model, IMAGE)):
        found = Checked(checked.check, checked.ok, scrubbed(_with_refusals(checked, exchanges)))
        if (reason := unmet(found, exchanges)) is not None:
            found = Checked(found.check, False, f"{reason}; {found.detail}")
        found = without_lessons(found, exchanges, model_knows_the_tools())
        checks.append(found)
        requests += kept(found.check, exchanges)
        print(f"  {client.name} {found.check}: {found.ok} {found.detail}", flush=True)
    result = Result(client, version_of(client), tuple(checks))
    write_result(result)
    write(client.name, result.version, with_named_ids_only(requests))
    return result


def _checks(
    client: Client, proxy: RecordingProxy, environment: dict[str, str]
) -> Iterator[tuple[Checked, list[Exchange]]]:
    """Each check that the client's process tells, as it does, with what was exchanged meanwhile."""
    log, output = client.environment / "log", client.environment / "output"
    began = time.monotonic()
    with log.open("w") as errors, output.open("w") as told, _started(client, environment, errors) as process:
        timer = threading.Timer(client.timeout_s, _end, [process])
        timer.start()
        try:
            for line in process.stdout or ():
                told.write(line)
                if (checked := _read(line)) is not None:
                    yield checked, proxy.taken()
                    _go_on(process)
            process.wait()
        finally:
            timer.cancel()
            _end(process)
    if process.returncode:
        took = f"after {time.monotonic() - began:.0f} s"
        detail = f"its process ended with {process.returncode} {took}: {_last_line(log)}"
        yield Checked("run", False, detail), proxy.taken()


def _started(client: Client, environment: dict[str, str], errors: TextIO) -> "subprocess.Popen[str]":
    """The client's process, the first of a group of its own."""
    return subprocess.Popen(
        client.command_in(environment),
        cwd=client.run_folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        start_new_session=True,
    )


def _go_on(process: subprocess.Popen[str]) -> None:
    """Tell the client, which waits for it, that the requests of its check have been taken."""
    with suppress(BrokenPipeError):
        assert process.stdin is not None  # noqa: S101 - it was asked for
        process.stdin.write("\n")
        process.stdin.flush()


def _end(process: subprocess.Popen[str]) -> None:
    """End a client's process and all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _read(line: str) -> Checked | None:
    """The check that a line tells, if it does."""
    try:
        row = json.loads(line)
        return Checked(str(row["check"]), row["ok"], str(row["detail"]))
    except (ValueError, TypeError, KeyError):
        return None


def _with_refusals(checked: Checked, exchanges: Sequence[Exchange]) -> str:
    """What a check that failed says, and what the server refused meanwhile."""
    refused = [exchange for exchange in exchanges if exchange.status >= 400]
    if checked.ok is True or not refused:
        return checked.detail
    answer = refused[-1].answer.decode("utf-8", "replace")
    return f"{checked.detail} | {refused[-1].path} was answered {refused[-1].status}: {answer[:300]}"


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
