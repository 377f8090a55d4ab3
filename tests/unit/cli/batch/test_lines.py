"""A file of requests: checked as a whole before anything is asked, and read line by line afterwards."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from phiserve.cli.batch import lines
from phiserve.cli.batch.lines import BatchInput, check_model
from phiserve.cli.batch.output import digest_of
from phiserve.errors import StartupError
from phiserve.protocol.batches.lines import BatchLine

IMAGES = ["data:image/png;base64,AAAA", "data:image/png;base64,BBBB"]


def line(custom_id: str, **body: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/completions", "body": body}


def about(custom_id: str, image: str) -> dict[str, Any]:
    """A question about an image."""
    shown = [{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": custom_id}]
    body = {"messages": [{"role": "user", "content": shown}]}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def anything(line: BatchLine) -> None:
    """No line is refused."""


def checked(folder: Path, *written: Any, told: list[str] | None = None) -> BatchInput:
    """The input of these lines, as JSON unless they are text."""
    texts = (one if isinstance(one, str) else json.dumps(one) + "\n" for one in written)
    (folder / "in.jsonl").write_text("".join(texts))
    wrong: list[str] = [] if told is None else told
    return BatchInput.checked(folder / "in.jsonl", anything, wrong.append)


def ids(given: BatchInput, done: set[bytes] | None = None) -> list[str]:
    """Of the lines that are pending, in their order."""
    return [given.line(place).read.custom_id for place in given.pending(done or set())]


def test_lines_that_share_an_image_are_together(tmp_path: Path) -> None:
    """Blank lines are none; numbers count them."""
    mixed = [about(f"{image}-{turn}", IMAGES[image]) for turn in range(3) for image in range(2)]
    given = checked(tmp_path, *mixed[:3], "\n   \n", *mixed[3:])
    assert len(given) == 6
    images = [name[0] for name in ids(given)]
    assert images in (["0"] * 3 + ["1"] * 3, ["1"] * 3 + ["0"] * 3)
    numbers = {given.line(place).read.custom_id: given.line(place).read.number for place in range(6)}
    assert (numbers["0-1"], numbers["1-1"]) == (3, 6)
    given.close()


def test_the_file_is_never_in_memory(tmp_path: Path) -> None:
    """Checked, and read again, 19 MB take a twentieth of that."""
    with (tmp_path / "in.jsonl").open("w") as file:
        for number in range(400):
            file.write(json.dumps(about(str(number), IMAGES[number % 2] * 1900)) + "\n")
    size = (tmp_path / "in.jsonl").stat().st_size
    tracemalloc.start()
    try:
        given = BatchInput.checked(tmp_path / "in.jsonl", anything, print)
        assert len(ids(given)) == 400
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    given.close()
    assert size > 19_000_000
    assert peak < size / 20


def test_what_is_done_is_left_out(tmp_path: Path) -> None:
    """By the digests of lines; a last line needs no end."""
    given = checked(tmp_path, line("a"), line("b"), json.dumps(line("c")))
    texts = [given.line(place).text for place in range(3)]
    assert given.known == frozenset(map(digest_of, texts))
    assert ids(given, {digest_of(texts[0]), digest_of(texts[2])}) == ["b"]
    assert given.size_of(0) == len(texts[0])
    given.close()


def test_every_wrong_line_is_told(tmp_path: Path) -> None:
    """With its number, up to a number of them, and the run does not begin."""
    told: list[str] = []
    wrong = ["{\n", line("a", model="m") | {"method": "GET"}, line("a"), *[line("a")] * 30]
    with pytest.raises(StartupError, match=r"wrong: 32 \(12 more than are told\); nothing was asked"):
        checked(tmp_path, line("b"), *wrong, told=told)
    file = tmp_path / "in.jsonl"
    assert told[0] == f"{file}, line 2: The line is not valid JSON"
    assert told[1].startswith(f"{file}, line 3: method: ")
    assert told[2] == f"{file}, line 5: custom_id: line 4 has 'a' too"
    assert len(told) == 20


def test_models(tmp_path: Path) -> None:
    """A line that asks for another model is wrong; one that names none is not."""
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line(name, model=name)) + "\n" for name in "ab"))
    told: list[str] = []
    with pytest.raises(StartupError, match="wrong: 1; nothing"):
        BatchInput.checked(tmp_path / "in.jsonl", lambda read: check_model(read, ("a", "c")), told.append)
    assert told == [f"{tmp_path / 'in.jsonl'}, line 2: body.model: 'b' is not served here, but 'a' or 'c'"]
    check_model(BatchLine(1, "x", "/v1/completions", b"{}", None, ""), ("a",))


def test_a_file_that_changes(tmp_path: Path) -> None:
    """Is noticed: other lines than those that were checked are not asked."""
    given = checked(tmp_path, line("a"), line("b"))
    (tmp_path / "in.jsonl").write_text(json.dumps(line("x")) + "\n" + json.dumps(line("y")) + "\n")
    with pytest.raises(StartupError, match="has changed meanwhile"):
        ids(given)
    given.close()


def test_what_is_no_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file, no lines, a line without an end."""
    with pytest.raises(StartupError, match="is not a file"):
        BatchInput.checked(tmp_path, anything, print)
    with pytest.raises(StartupError, match=r"none\.jsonl cannot be read: no such file or directory"):
        BatchInput.checked(tmp_path / "none.jsonl", anything, print)
    with pytest.raises(StartupError, match="has no lines"):
        checked(tmp_path, "\n")
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 2**20)
    with pytest.raises(StartupError, match="Line 2 has more than 1 MiB"):
        checked(tmp_path, line("a"), line("b", prompt="b" * 2**20))
