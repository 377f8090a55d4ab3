"""`phiserve batch` as it is typed: two forms, a server's answers, and what is refused."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from images import encode, noise
from phiserve.cli.main import app
from servers import Reply, WebServer, refusal, web_server

LINE = {"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": {"prompt": "Hi"}}


def completion(text: str) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return 200, "application/json", json.dumps({"choices": [choice]}).encode()


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["batch", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command is typed: with a file of one request, two images and a schema."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_text(json.dumps(LINE) + "\n")
    for name in ("b.png", "a.png"):
        (tmp_path / name).write_bytes(encode(noise(8, 8)))
    (tmp_path / "book.json").write_text('{"type": "object", "properties": {"title": {"type": "string"}}}')
    return tmp_path


def test_a_file_of_requests(folder: Path) -> None:
    """Answered by the server of `--url`; a second run asks nothing."""
    with web_server(WebServer(posts=[completion("Ho")])) as server:
        result = run("in.jsonl", "-o", "out.jsonl", "--url", server.url)
        again = run("in.jsonl", "-o", "out.jsonl", "--url", server.url)
    assert (result.exit_code, again.exit_code) == (0, 0), result.output + again.output
    assert server.requests == [{"prompt": "Hi"}]
    answer = json.loads((folder / "out.jsonl").read_text())
    assert (answer["custom_id"], answer["response"]["status_code"]) == ("a", 200)
    assert result.stderr.startswith("1 lines in ")
    assert "1 were done before" in again.stderr


def test_images(folder: Path) -> None:
    """A pattern in quotes, or what a shell makes of one without."""
    question = ("--ask", "Title?", "--schema", "book.json", "-o", "books.csv")
    with web_server(WebServer(posts=[completion('{"title": "T"}')])) as server:
        result = run("--images", "*.png", *question, "--url", server.url)
        assert result.exit_code == 0, result.output
        with (folder / "books.csv").open(newline="") as table:
            assert list(csv.reader(table)) == [
                ["file", "title", "error"],
                ["a.png", "T", ""],
                ["b.png", "T", ""],
            ]
        again = run("--images", "a.png", "b.png", *question, "--url", server.url)
    assert again.exit_code == 0, again.output
    assert "2 were done before" in again.stderr
    assert server.requests[0]["model"] == "m"


def test_choices(folder: Path) -> None:
    """Which of several each image is, and how likely that is."""
    probabilities = [{"value": "cat", "probability": 0.25}, {"value": "dog", "probability": 0.75}]
    chosen = {"type": "choice", "name": None, "choice": "dog", "confidence": 0.5}
    answer = {"answers": [chosen | {"probabilities": probabilities}]}
    with web_server(WebServer(posts=[(200, "application/json", json.dumps(answer).encode())])) as server:
        result = run("--images", ".", "--choice", "Pet?=cat,dog", "-o", "pets.tsv", "--url", server.url)
    assert result.exit_code == 0, result.output
    assert (folder / "pets.tsv").read_text().splitlines() == [
        "file\tPet?\tPet? (probability)\terror",
        "a.png\tdog\t0.75\t",
        "b.png\tdog\t0.75\t",
    ]
    assert server.paths[-1] == "/v1/decisions"


def test_some_failed(folder: Path) -> None:
    """All was asked, and the exit status says that errors are among the answers."""
    with web_server(WebServer(posts=[refusal(400, "too large")])) as server:
        result = run("in.jsonl", "-o", "out.jsonl", "--url", server.url)
        again = run("in.jsonl", "-o", "out.jsonl", "--url", server.url)
        assert (result.exit_code, again.exit_code) == (3, 3)
        assert run("--images", ".", "--ask", "What?", "-o", "t.tsv", "--url", server.url).exit_code == 3
    assert "1 of them failed" in result.stderr
    assert "1 were done before, 1 of them failed" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Give one FILE.jsonl"),
        (("in.jsonl", "in.jsonl"), "Give one FILE.jsonl"),
        (("in.jsonl", "--ask", "What?"), "Give one FILE.jsonl"),
        (("--images", "."), "--images takes a question"),
        (("--images", ".", "--ask", "What?", "--errors", "e.jsonl"), "--images takes a question"),
        (("--images", ".", "--ask", "What?", "--choice", "Pet?=cat,dog"), "--images takes a question"),
        (("--images", ".", "--choice", "Pet?=cat,dog", "--system", "Hi"), "--images takes a question"),
        (("--images", ".", "--ask", "What?", "--pages", "x"), "--pages: "),
        (("in.jsonl", "--pages", "1"), "Give one FILE.jsonl"),
        (("--images", ".", "--choice", "Pet?"), "--choice takes a question and its options"),
        (("in.jsonl", "--choice", "Pet?=cat,dog"), "Give one FILE.jsonl"),
        (("--images", "none", "--ask", "What?"), "There is no image none"),
        (("none.jsonl",), "none.jsonl cannot be read"),
        (("in.jsonl", "--url", "http://127.0.0.1:9", "--model", "phiserve-blank"), "--url names a server"),
        (("in.jsonl", "--url", "http://127.0.0.1:9"), "No server answers"),
        (("in.jsonl", "--engine", "seed"), "KEY=VALUE"),
        (("in.jsonl", "--config", "none.yaml"), "none.yaml"),
        (("in.jsonl", "--model", "none"), "no folder none"),
    ],
)
def test_what_is_refused(arguments: tuple[str, ...], said: str, folder: Path) -> None:
    """In one sentence, before anything is started or made."""
    result = run(*arguments, "-o", "out.jsonl")
    assert (result.exit_code, said in result.stderr) == (1, True), result.output
    assert not (folder / "out.jsonl").exists() or "no folder" in said


def test_where_there_is_no_folder(folder: Path) -> None:
    """The output's place is looked at first."""
    assert "There is no folder none for out.jsonl" in run("in.jsonl", "-o", "none/out.jsonl").stderr


def test_wrong_lines_are_told_without_an_engine(folder: Path) -> None:
    """By the rules of our own routes."""
    (folder / "in.jsonl").write_text(json.dumps(LINE | {"body": {"prompt": "Hi", "n": "two"}}))
    result = run("in.jsonl", "-o", "out.jsonl")
    assert result.exit_code == 1
    assert "in.jsonl, line 1: body.n: " in result.stderr
    assert "nothing was asked" in result.stderr


def test_the_command_line_stays_quick() -> None:
    """What a batch needs of a server is not imported for other commands."""
    code = (
        "import sys, phiserve.cli.main; print([m for m in ('fastapi', 'vllm', 'torch') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our own code
    assert ended.stdout == "[]\n"
