"""A batch from its beginning to its end: what is left is asked, and written as it is answered."""

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import typer
import uvloop
from rich.console import Console

from phiserve.cli.batch.cells import ERROR, Columns, Row, failed_row
from phiserve.cli.batch.lines import BatchInput
from phiserve.cli.batch.output import BatchOutput
from phiserve.cli.batch.progress import Tally, progress_bar
from phiserve.cli.batch.resumed import ResumedFile
from phiserve.cli.batch.table import Table, form_of
from phiserve.cli.batch.work import Answering, LineRequest, Outcome, Place, Source, keep_under_way
from phiserve.errors import StartupError
from phiserve.protocol.batches.lines import BatchLine, LineRefused

_Item = TypeVar("_Item")


class Asked(Protocol):
    """What is asked about each of many images."""

    @property
    def columns(self) -> Columns:
        """Those of the answers. Raises StartupError where two would have the same name."""

    def request(self, file: str, model: str) -> LineRequest:
        """The request about one file, which is read. Raises StartupError where it can't be."""

    def line(self, model: str) -> BatchLine:
        """A request that stands for them all where they are checked."""

    def row(self, file: str, outcome: Outcome) -> Row:
        """What has been answered about a file."""


class Batch(Protocol[_Item]):
    """What is to be asked.

    `noun`: what its items are called; `total`: their number; `failed`: how many have an error that stays.
    """

    noun: str
    total: int
    failed: int

    def pending(self) -> Iterator[_Item]:
        """Items that have not been answered, in the order in which they are to be asked."""

    def size_of(self, item: _Item) -> int:
        """Bytes that an item takes while it is under way, about."""

    async def ask(self, item: _Item, answering: Answering) -> bool:
        """Ask about an item, and write the answer; whether that is an error."""


class LineBatch:
    """Lines of a file of requests, answered as lines of another. Raises as `BatchOutput.done`."""

    noun = "lines"

    def __init__(self, lines: BatchInput, output: BatchOutput) -> None:
        self.total = len(lines)
        self._lines = lines
        self._output = output
        self._done = output.done(lines.known)
        self.failed = sum(self._done.values())

    def pending(self) -> Iterator[int]:
        """The places of lines."""
        return self._lines.pending(self._done)

    def size_of(self, item: int) -> int:
        """The line as text, and its body."""
        return 2 * self._lines.size_of(item)

    async def ask(self, item: int, answering: Answering) -> bool:
        """Answer a line."""
        line = self._lines.line(item)
        outcome = await answering.answer(LineRequest(line.read.url, line.read.body))
        self._output.add(line.text, line.read.custom_id, outcome)
        return outcome.failed


class ImageBatch:
    """The same question about many images, answered as rows of a table."""

    noun = "images"
    failed = 0  # they are asked again

    def __init__(self, files: Sequence[str], asked: Asked, table: Table) -> None:
        self.total = len(files)
        self._files = files
        self._asked = asked
        self._table = table
        self._done = table.done(files)

    def pending(self) -> Iterator[str]:
        """Files' names."""
        return (file for file in self._files if file not in self._done)

    def size_of(self, item: str) -> int:
        """The file, written as base64 twice: in a request, and in its body."""
        try:
            return 3 * os.stat(item).st_size
        except OSError:  # told when it is read
            return 0

    async def ask(self, item: str, answering: Answering) -> bool:
        """Answer about an image; one that can't be read has a row, too."""
        try:
            request = await asyncio.to_thread(self._asked.request, item, answering.model)
        except StartupError as error:
            self._table.add(failed_row(item, str(error)))
            return True
        row = self._asked.row(item, await answering.answer(request))
        self._table.add(row)
        return row[ERROR] is not None


def run_lines(file: Path, output: Path, errors: Path | None, place: Place, at_once: int | None) -> Tally:
    """Answer the lines of a file that are not answered yet.

    Raises StartupError, before anything is asked where a line is wrong; and as `run`.
    """
    console = Console(stderr=True, highlight=False)
    with ExitStack() as opened:
        with console.status(f"Reading {file} …"):
            lines = BatchInput.checked(
                file, place.check, partial(console.print, markup=False, soft_wrap=True)
            )
        opened.callback(lines.close)
        answers = opened.enter_context(ResumedFile(output))
        is_apart = errors is not None and errors.resolve() != output.resolve()
        apart = opened.enter_context(ResumedFile(errors)) if errors is not None and is_apart else None
        return run(LineBatch(lines, BatchOutput(answers, apart)), place, at_once, console)


def run_images(files: Sequence[str], asked: Asked, output: Path, place: Place, at_once: int | None) -> Tally:
    """Ask about all files that have no row in the table yet, and put its rows into their order.

    Raises StartupError, also where what is asked would be refused; and as `run`.
    """
    console = Console(stderr=True, highlight=False)
    form_of(output, asked.columns)  # before anything is made
    try:
        place.check(asked.line(place.names[0]))
    except LineRefused as error:
        reason = error.error.message.removeprefix("body.")
        raise StartupError(f"What is asked would be refused: {reason}") from None
    with ResumedFile(output) as file:
        table = Table(file, asked.columns)
        try:
            return run(ImageBatch(files, asked, table), place, at_once, console)
        finally:
            table.settle()


def run(batch: Batch[_Item], place: Place, at_once: int | None, console: Console) -> Tally:
    """Ask about all that is pending, and tell how far that went, also where it is interrupted.

    Raises StartupError, EngineLost, KeyboardInterrupt, and typer.Exit on SIGTERM.
    """
    pending = list(batch.pending())
    tally = Tally(batch.total, batch.total - len(pending), batch.failed)
    if not pending:
        tally.tell(batch.noun, console)
        return tally
    try:
        uvloop.run(_asked(batch, pending, place.source(console, at_once), tally, console))
    except asyncio.CancelledError:  # not by Ctrl-C
        raise typer.Exit(128 + signal.SIGTERM) from None
    return tally


async def _asked(
    batch: Batch[_Item], pending: Sequence[_Item], source: Source, tally: Tally, console: Console
) -> None:
    me = asyncio.current_task()
    assert me is not None  # noqa: S101 - inside a coroutine there is one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    async with source() as answering:

        async def ask(item: _Item) -> None:
            tally.count(failed=await batch.ask(item, answering))

        tally.begin()
        try:
            with progress_bar(tally, console):
                await keep_under_way(iter(pending), batch.size_of, ask, answering.at_once)
        finally:
            tally.tell(batch.noun, console)
