"""How far a batch has come: a bar with rate and time left, and a line at the end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

RATE_PERIOD_S = 120.0
"""Seconds over which the rate is measured: answers of very different lengths come in between."""


class Tally:
    """Counts what has been answered.

    `total`: all there is. `before`: what earlier runs had done, of which `failed_before` had failed.
    """

    def __init__(self, total: int, before: int, failed_before: int = 0) -> None:
        self.total = total
        self.before = before
        self.failed_before = failed_before
        self.done = 0
        self.failed = 0
        self._began = time.monotonic()
        self._watcher: Callable[[], None] | None = None

    def begin(self) -> None:
        """From now on things are asked."""
        self._began = time.monotonic()

    def count(self, *, failed: bool) -> None:
        """One more has been answered, or has `failed`."""
        self.done += 1
        self.failed += failed
        if self._watcher is not None:
            self._watcher()

    def watch(self, watcher: Callable[[], None] | None) -> None:
        """Have `watcher` called whenever something is counted."""
        self._watcher = watcher

    def tell(self, noun: str, console: Console) -> None:
        """Print what this run did."""
        seconds = time.monotonic() - self._began
        rate = f", {self.done / seconds:.3g} a second" if self.done and seconds > 0 else ""
        parts = [f"{self.done} {noun} in {seconds:.0f} s{rate}"]
        if self.failed:
            parts.append(f"[red]{self.failed} of them failed[/]")
        if self.before:
            failed = f", [red]{self.failed_before} of them failed[/]" if self.failed_before else ""
            parts.append(f"{self.before} were done before{failed}")
        if left := self.total - self.before - self.done:
            parts.append(f"{left} are left, with which the same command goes on")
        console.print("; ".join(parts), soft_wrap=True)


@contextmanager
def progress_bar(tally: Tally, console: Console) -> Iterator[None]:
    """Show how a tally goes until the block ends, where the console is a terminal."""
    progress = Progress(
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
        console=console,
        transient=True,
        expand=True,
        disable=not console.is_terminal,
        speed_estimate_period=RATE_PERIOD_S,
    )
    with progress:
        bar = progress.add_task("", total=tally.total, completed=tally.before, failed="")

        def show() -> None:
            """Bring the bar to where the tally is."""
            failed = f"[red]{tally.failed} failed[/]" if tally.failed else ""
            progress.update(bar, completed=tally.before + tally.done, failed=failed)

        tally.watch(show)
        try:
            yield
        finally:
            tally.watch(None)


class _Rate(ProgressColumn):
    """Answers a second, or a minute where they are few."""

    def render(self, task: Task) -> Text:
        """The rate; empty until it is known."""
        if not (speed := task.speed):
            return Text("")
        return Text(f"{speed:.3g}/s" if speed >= 1 else f"{speed * 60:.3g}/min")
