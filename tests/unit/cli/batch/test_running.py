"""Batches from their beginning to their end, answered by a script: what is asked, written, gone on with."""

import asyncio
import csv
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import typer
from rich.console import Console

from images import encode, noise
from phiserve.cli.batch.images import ImageQuestion
from phiserve.cli.batch.running import run_images, run_lines
from phiserve.cli.batch.work import Answering, LineRequest, Outcome, Source
from phiserve.errors import EngineLost, StartupError
from phiserve.protocol.batches.bodies import check_line
from phiserve.protocol.batches.lines import BatchLine

Script = Callable[[int], Outcome | None]
"""The outcome of the n-th request; None for one that never has any."""


@dataclass
class Scripted:
    """A place where requests are answered as a script says."""

    script: Script
    at_once: int = 2
    model: str = "m"
    names: Sequence[str] = ("m",)
    asked: list[LineRequest] = field(default_factory=list)

    def check(self, line: BatchLine) -> None:
        check_line(line)

    def source(self, console: Console, at_once: int | None) -> Source:
        @asynccontextmanager
        async def started() -> AsyncIterator[Answering]:
            yield self

        return started

    async def answer(self, request: LineRequest) -> Outcome:
        self.asked.append(request)
        outcome = self.script(len(self.asked))
        if outcome is None:
            await asyncio.Event().wait()
        assert outcome is not None
        return outcome


def completion(text: str) -> Outcome:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return Outcome(200, "req", json.dumps({"choices": [choice]}).encode())


FAILURE = Outcome(400, "req", b'{"error":{"message":"too large"}}')


def fine(number: int) -> Outcome:
    return completion(f"answer {number}")


def lost_at(number: int) -> Script:
    """An engine that does not come back."""

    def script(asked: int) -> Outcome:
        if asked == number:
            raise EngineLost("It ended too often")
        return fine(asked)

    return script


def signalled_at(number: int, what: int) -> Script:
    """Somebody ends the command."""

    def script(asked: int) -> Outcome | None:
        if asked < number:
            return fine(asked)
        if asked == number:
            os.kill(os.getpid(), what)
        return None

    return script


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    """Ten lines."""
    file = tmp_path / "in.jsonl"
    for number in range(10):
        line = {"custom_id": str(number), "method": "POST", "url": "/v1/completions"}
        with file.open("a") as opened:
            opened.write(json.dumps(line | {"body": {"prompt": f"{number}"}}) + "\n")
    return file


def ids(file: Path) -> list[str]:
    """Of the answers in a file."""
    return [json.loads(line)["custom_id"] for line in file.read_text().splitlines()]


def test_lines(requests: Path, tmp_path: Path) -> None:
    """All are asked once; nothing is left for the next run, which starts nothing."""
    place = Scripted(fine)
    tally = run_lines(requests, tmp_path / "out.jsonl", None, place, None)
    assert (tally.done, tally.failed, len(place.asked)) == (10, 0, 10)
    assert sorted(ids(tmp_path / "out.jsonl")) == sorted(map(str, range(10)))
    again = run_lines(requests, tmp_path / "out.jsonl", None, Scripted(lost_at(1)), None)
    assert (again.done, again.before) == (0, 10)


@pytest.mark.parametrize(
    ("script", "raised", "code"),
    [
        (lost_at(5), EngineLost, None),
        (signalled_at(5, signal.SIGINT), KeyboardInterrupt, None),
        (signalled_at(5, signal.SIGTERM), typer.Exit, 143),
    ],
)
def test_lines_go_on(
    script: Script, raised: type[BaseException], code: int | None, requests: Path, tmp_path: Path
) -> None:
    """However a run ends, what it answered is there, and the next one asks the others."""
    with pytest.raises(raised) as caught:
        run_lines(requests, tmp_path / "out.jsonl", None, Scripted(script), None)
    assert getattr(caught.value, "exit_code", None) == code
    before = ids(tmp_path / "out.jsonl")
    assert 1 <= len(before) < 10
    with (tmp_path / "out.jsonl").open("a") as out:
        out.write('{"id":"batch_req_12')  # as kill -9 leaves it
    place = Scripted(fine)
    run_lines(requests, tmp_path / "out.jsonl", None, place, None)
    assert len(place.asked) == 10 - len(before)
    assert sorted(ids(tmp_path / "out.jsonl")) == sorted(map(str, range(10)))


def test_errors_of_lines(requests: Path, tmp_path: Path) -> None:
    """Are answers, too, and have a file of their own where one is named; the output itself is none."""
    out, errors = tmp_path / "out.jsonl", tmp_path / "errors.jsonl"

    def script(asked: int) -> Outcome:
        return FAILURE if asked % 2 else fine(asked)

    assert run_lines(requests, out, errors, Scripted(script), None).failed == 5
    assert (len(ids(out)), len(ids(errors))) == (5, 5)
    again = run_lines(requests, out, errors, Scripted(fine), None)
    assert (again.done, again.failed, again.failed_before) == (0, 0, 5)
    errors.unlink()
    assert run_lines(requests, out, out, Scripted(fine), None).done == 5
    assert sorted(ids(out)) == sorted(map(str, range(10)))


def test_a_wrong_line(requests: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is told, and nothing is made."""
    requests.write_text(requests.read_text() + '{"custom_id": "x"}\n')
    with pytest.raises(StartupError, match="wrong: 1; nothing was asked"):
        run_lines(requests, tmp_path / "out.jsonl", None, Scripted(fine), None)
    assert f"{requests}, line 11: method: " in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    """Four files, of which one is empty."""
    files = [tmp_path / f"{name}.png" for name in "abcd"]
    for file in files:
        file.write_bytes(encode(noise(8, 8)))
    files[1].write_bytes(b"")
    return list(map(str, files))


def rows(file: Path) -> list[list[str]]:
    with file.open(newline="") as opened:
        return list(csv.reader(opened, strict=True))


def test_images(images: list[str], tmp_path: Path) -> None:
    """A row each, in their order, also of what can't be read, which the next run asks about again."""
    table, question = tmp_path / "t.csv", ImageQuestion("What?")
    place = Scripted(lambda asked: FAILURE if asked == 2 else completion("A"))
    tally = run_images(images, question, table, place, None)
    assert (tally.done, tally.failed) == (4, 2)
    header, *found = rows(table)
    assert header == ["file", "answer", "error"]
    assert [row[0] for row in found] == images
    assert found[1][1:] == ["", f"The image {images[1]} cannot be read: it is empty"]
    assert [row[2] for row in found].count("too large") == 1
    Path(images[1]).write_bytes(encode(noise(8, 8)))
    again = run_images(images, question, table, Scripted(fine), None)
    assert (again.done, again.before, again.failed) == (2, 2, 0)
    assert [row[0] for row in rows(table)[1:]] == images
    assert all(row[1] and not row[2] for row in rows(table)[1:])


def test_images_go_on(images: list[str], tmp_path: Path) -> None:
    """What is answered is in the table in order, with a new file among them the next time."""
    table, question = tmp_path / "t.csv", ImageQuestion("What?")
    with pytest.raises(EngineLost):
        run_images(images[2:], question, table, Scripted(lost_at(2), at_once=1), None)
    assert [row[0] for row in rows(table)[1:]] == images[2:3]
    place = Scripted(fine)
    run_images([images[0], *images[2:]], question, table, place, None)
    assert len(place.asked) == 2
    assert [row[0] for row in rows(table)[1:]] == [images[0], *images[2:]]


def test_a_question_that_would_be_refused(images: list[str], tmp_path: Path) -> None:
    """Is told once, not for every image, and nothing is made."""
    question = ImageQuestion("What?", schema={"type": "object", "properties": {"a": {"type": "thing"}}})
    with pytest.raises(StartupError, match=r"would be refused: response_format\..*properties\.a"):
        run_images(images, question, tmp_path / "t.csv", Scripted(fine), None)
    with pytest.raises(StartupError, match="must end in"):
        run_images(images, ImageQuestion("What?"), tmp_path / "t.xlsx", Scripted(fine), None)
    assert not list(tmp_path.glob("t.*"))
