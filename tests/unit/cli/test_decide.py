"""`phiserve decide`: what it asks, and what it prints."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from images import encode, noise
from pdfs import pdf
from phiserve.cli.decide import typed_choice
from phiserve.cli.main import app
from phiserve.protocol.decisions.request import DecisionsRequest
from servers import Reply, WebServer, refusal, web_server

ANSWERS = [
    {"type": "predicate", "name": None, "probability": 0.9},
    {
        "type": "choice",
        "name": None,
        "choice": "circle",
        "probabilities": [{"value": "circle", "probability": 0.8}, {"value": "square", "probability": 0.2}],
        "confidence": 0.6,
    },
    {
        "type": "score",
        "name": None,
        "score": 1.25,
        "probabilities": [{"value": 0, "label": "empty", "probability": 0.1}] * 2,
        "confidence": 0.5,
    },
    {"type": "refusal", "name": None},
]
USAGE = {
    "input_tokens": 400,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 400,
}


def decision(*answers: object) -> Reply:
    body = {"model": "m", "answers": answers, "usage": USAGE}
    return 200, "application/json", json.dumps(body).encode()


def decide(server: WebServer, *words: str) -> Result:
    return CliRunner().invoke(app, ["decide", "--url", server.url, *words])


def test_all_kinds(tmp_path: Path) -> None:
    """One request; a bar for each option, in its length the probability."""
    (tmp_path / "a.png").write_bytes(encode(noise(20, 20)))
    words = [str(tmp_path / "a.png"), "--ask", "Is it red?", "--choice", "a = b? = circle, square"]
    words += ["--score", "How full?=empty,full", "--ask", "Really?", "--text", "A scan.", "--detail", "low"]
    with web_server(WebServer(posts=[decision(ANSWERS[0], ANSWERS[3], *ANSWERS[1:3])])) as server:
        result = decide(server, *words)
    assert result.exit_code == 0, result.output
    (request,) = server.requests
    assert server.paths[-1] == "/v1/decisions"
    image, text = request["input"][0]["content"]
    assert (image["type"], image["detail"], text["text"]) == ("input_image", "low", "A scan.")
    assert request["questions"] == [
        {"type": "predicate", "instructions": "Is it red?"},
        {"type": "predicate", "instructions": "Really?"},
        {"type": "choice", "instructions": "a = b?", "choices": [{"value": "circle"}, {"value": "square"}]},
        {"type": "score", "instructions": "How full?", "levels": [{"label": "empty"}, {"label": "full"}]},
    ]
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["yes", "0.90"], ["no", "0.10"]]
    assert lines[1].count("█") == 27
    assert "  no answer: the model would say something else" in lines
    assert "  1.25 of 0 to 1" in lines


def test_pages_of_a_pdf(tmp_path: Path) -> None:
    """A PDF is a file, and the pages go along with it."""
    (tmp_path / "report.pdf").write_bytes(pdf("", "", ""))
    (tmp_path / "a.png").write_bytes(encode(noise(20, 20)))
    words = ["--ask", "Is it signed?", "--pages", "2-3", "--detail", "low"]
    with web_server(WebServer(posts=[decision(ANSWERS[0])])) as server:
        result = decide(server, str(tmp_path / "report.pdf"), str(tmp_path / "a.png"), *words)
        refused = decide(server, str(tmp_path / "a.png"), *words)
    assert (result.exit_code, refused.exit_code) == (0, 1)
    assert "--pages is for PDFs, and there is none" in refused.output
    (request,) = server.requests
    file, image = request["input"][0]["content"]
    assert (file["type"], file["pages"], file["detail"]) == ("input_file", "2-3", "low")
    assert file["file_data"].startswith("data:application/pdf;base64,")
    assert image["type"] == "input_image"
    DecisionsRequest.model_validate(request)


@pytest.mark.parametrize(
    ("given", "asked", "options"),
    [
        ("Which=a,b", "Which", ["a", "b"]),
        ("a = b? = c, d", "a = b?", ["c", "d"]),
        ("Which?=a=1,b=2,c", "Which?", ["a=1", "b=2", "c"]),
    ],
)
def test_equals_signs(given: str, asked: str, options: list[str]) -> None:
    """Several are told apart by the question mark."""
    question = typed_choice(given)
    assert question["instructions"] == asked
    assert [choice["value"] for choice in question["choices"]] == options


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--choice", "Which=a=1,b=2,c"], "--choice: one = must follow a question mark"),
        (["--score", "a?=b?=c,d"], "--score: one = must follow a question mark"),
        ([], "Nothing is asked"),
        (["--choice", "Which?"], "--choice takes a question and its options"),
        (["--score", "Which?=one"], "--score takes a question and its options"),
        (["--choice", "Which?=a,"], "--choice takes a question and its options"),
    ],
)
def test_what_cannot_be_asked(words: list[str], said: str) -> None:
    """One sentence, and no request."""
    with web_server(WebServer()) as server:
        result = decide(server, *words)
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
    assert server.requests == []


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (refusal(400, "questions[0]: no"), "questions[0]: no"),
        ((200, "application/json", b"{}"), "unexpected response"),
        (decision(), "unexpected response"),
    ],
)
def test_what_a_server_may_say(reply: Reply, said: str) -> None:
    """One sentence."""
    with web_server(WebServer(posts=[reply])) as server:
        result = decide(server, "--ask", "Is it red?")
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
