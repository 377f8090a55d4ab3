"""`phiserve top`: a running server, watched."""

import sys
import time
from collections import deque
from contextlib import closing, suppress
from typing import Annotated

import openai
import typer
from rich.console import Console
from rich.live import Live

from phiserve.cli.client import DEFAULT_URL, client_for, text_at
from phiserve.cli.failures import sentence
from phiserve.cli.readings import Interval, Reading, between, parse
from phiserve.cli.streams import showable
from phiserve.cli.top_view import Status, screen
from phiserve.errors import PhiserveError

WINDOW_S = 10.0
"""Seconds that rates are of while a server is watched: long enough to hold whole answers."""

_ROWS_BESIDE_OWNERS = 21
_LEAST_OWNERS = 3


def top(
    url: Annotated[str, typer.Option(help="Server to watch.")] = DEFAULT_URL,
    interval: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds between two looks.")] = 1.0,
    once: Annotated[
        bool, typer.Option("--once", help="Look twice, print one table, end; so too without a terminal.")
    ] = False,
) -> None:
    """Watch a running server: owners, queue, tokens, caches, engine; Ctrl-C ends it."""
    console = Console(highlight=False, markup=False)
    with closing(WatchedServer(url)) as watched:
        if once or not sys.stdout.isatty():
            _print(watched, interval, console)
        else:
            with suppress(KeyboardInterrupt):  # how one ends it
                _watch(watched, interval, console)


def _print(watched: "WatchedServer", interval_s: float, console: Console) -> None:
    watched.look()
    watched.require()
    time.sleep(interval_s)
    watched.look()
    watched.require()
    console.print(screen(watched.url, watched.status, watched.interval))


def _watch(watched: "WatchedServer", interval_s: float, console: Console) -> None:
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            began = time.monotonic()
            watched.look()
            rows = max(_LEAST_OWNERS, console.height - _ROWS_BESIDE_OWNERS)
            live.update(screen(watched.url, watched.status, watched.interval, rows), refresh=True)
            time.sleep(max(0.0, began + interval_s - time.monotonic()))


class WatchedServer:
    """What has been read of a server lately, and whether it was there. Raises StartupError for no address."""

    def __init__(self, url: str) -> None:
        self._client = client_for(url)
        self.url = str(self._client.base_url).rstrip("/")
        self.status = Status("not asked yet", is_well=False)
        self._readings: deque[Reading] = deque()
        self._failure: Exception | None = None
        self._away_since: float | None = None
        self._note = ""

    @property
    def interval(self) -> Interval | None:
        """What happened lately; None where the server has not been read twice since it came."""
        return between(self._readings[0], self._readings[-1]) if len(self._readings) > 1 else None

    def look(self) -> None:
        """Read the server's metrics and ask how it is; raises nothing where it does not answer."""
        try:
            reading = parse(text_at(self._client, "/metrics"), time.monotonic())
            status = self._asked_status()
        except (PhiserveError, openai.APIError) as error:
            self._miss(error)
            return
        self._failure = None
        if self._away_since is not None:
            self._note = f"back at {_clock(time.time())}, was away since {_clock(self._away_since)}"
            self._away_since = None
        elif self._readings and not _same_process(self._readings[-1], reading):
            self._note = f"started anew before {_clock(time.time())}"
            self._readings.clear()
        self.status = Status(status.text, status.is_well, self._note)
        self._readings.append(reading)
        while len(self._readings) > 2 and reading.at - self._readings[1].at >= WINDOW_S:
            self._readings.popleft()

    def _miss(self, error: Exception) -> None:
        self._failure = error
        self._away_since = self._away_since or time.time()
        self._readings.clear()
        reason = showable(sentence(error))
        self.status = Status(f"away since {_clock(self._away_since)}: {reason}", is_well=False)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def require(self) -> None:
        """Raise what kept the server from answering the last time, if anything did."""
        if self._failure is not None:
            raise self._failure

    def _asked_status(self) -> Status:
        """What `/ready` says, with its reason where the server takes no requests now."""
        try:
            text_at(self._client, "/ready")
        except openai.APIStatusError as error:
            return Status(f"not ready: {showable(sentence(error))}", is_well=False)
        return Status("ready", is_well=True)


def _same_process(before: Reading, after: Reading) -> bool:
    started = "process_start_time_seconds"
    return before.value(started) == after.value(started)


def _clock(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(moment))
