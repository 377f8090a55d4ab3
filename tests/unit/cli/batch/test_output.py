"""Answers of lines: which are there already, and that nothing else is taken for them."""

import json
from pathlib import Path

import pytest

from phiserve.cli.batch.output import BatchOutput, digest_of
from phiserve.cli.batch.resumed import ResumedFile
from phiserve.cli.batch.work import Outcome
from phiserve.errors import StartupError

LINES = [b'{"custom_id": "a"}\n', b'{"custom_id": "b"}\n', b'{"custom_id": "c"}']
KNOWN = frozenset(map(digest_of, LINES))
ANSWER = Outcome(200, "req_1", b'{"choices":[]}')
FAILURE = Outcome(400, "req_2", b'{"error":{"message":"no"}}')


def written(folder: Path, *, errors: bool = False) -> tuple[Path, Path]:
    """Two answers, one of them an error."""
    files = folder / "out.jsonl", folder / "errors.jsonl"
    with ResumedFile(files[0]) as out, ResumedFile(files[1]) as apart:
        output = BatchOutput(out, apart if errors else None)
        assert output.done(KNOWN) == {}
        output.add(LINES[0], "a", ANSWER)
        output.add(LINES[1], "b", FAILURE)
    return files


def done(file: Path, errors: Path | None = None) -> dict[bytes, bool]:
    with ResumedFile(file) as out:
        if errors is None:
            return BatchOutput(out, None).done(KNOWN)
        with ResumedFile(errors) as apart:
            return BatchOutput(out, apart).done(KNOWN)


def test_openai_s_form(tmp_path: Path) -> None:
    """A line for each answer, with what the route answered."""
    file, _ = written(tmp_path)
    first, second = map(json.loads, file.read_text().splitlines())
    response = {"status_code": 200, "request_id": "req_1", "body": {"choices": []}}
    assert first == {
        "id": f"batch_req_{digest_of(LINES[0]).hex()}",
        "custom_id": "a",
        "response": response,
        "error": None,
    }
    assert (second["response"]["status_code"], second["response"]["body"]) == (
        400,
        {"error": {"message": "no"}},
    )
    assert done(file) == {digest_of(LINES[0]): False, digest_of(LINES[1]): True}


def test_errors_apart(tmp_path: Path) -> None:
    """Both files tell what is done; without that of the errors, these are not."""
    file, errors = written(tmp_path, errors=True)
    assert len(file.read_bytes().splitlines()) == len(errors.read_bytes().splitlines()) == 1
    assert done(file, errors) == {digest_of(LINES[0]): False, digest_of(LINES[1]): True}
    errors.unlink()
    assert done(file, errors) == {digest_of(LINES[0]): False}


def test_every_place_where_it_may_have_been_ended(tmp_path: Path) -> None:
    """A half-written answer is cut off, wherever; what is whole stays."""
    file, _ = written(tmp_path)
    content = file.read_bytes()
    first = content.index(b"\n") + 1
    for size in range(len(content)):
        file.write_bytes(content[:size])
        expected = {digest_of(LINES[0]): False} if size >= first else {}
        assert done(file) == expected
        assert file.read_bytes() == content[: first if size >= first else 0]


@pytest.mark.parametrize(
    "content",
    [b"my notes", b"my notes\n", b'{"custom_id": "a", "method": "POST"}', b'{"id":"x","custom_id":"a"}\n'],
)
def test_what_is_not_ours_stays(content: bytes, tmp_path: Path) -> None:
    """A file that holds something else is refused, and not touched."""
    (tmp_path / "out").write_bytes(content)
    with pytest.raises(StartupError, match="out, line 1: is no answer of a batch"):
        done(tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == content


def test_answers_to_another_input(tmp_path: Path) -> None:
    """A line whose content has changed is not taken for the one that was answered."""
    file, _ = written(tmp_path)
    with (
        ResumedFile(file) as out,
        pytest.raises(StartupError, match=r"line 2: answers no line of this input, its custom_id is 'b'"),
    ):
        BatchOutput(out, None).done({digest_of(LINES[0])})


def test_a_line_s_end_says_nothing(tmp_path: Path) -> None:
    """A last line without its end, or with a carriage return, is the same line."""
    assert digest_of(LINES[2]) == digest_of(LINES[2] + b"\r\n")
