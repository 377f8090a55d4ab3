"""A file of requests with their answers: what each line must be, and where a mistake is said to be."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from pdfs import pdf
from phiserve.cli.labelled import Labelled, read_labelled
from phiserve.errors import StartupError
from phiserve.protocol.decisions.request import DecisionsRequest

PREDICATE = {"type": "predicate", "instructions": "Is it red?"}
CHOICE = {
    "type": "choice",
    "instructions": "Which?",
    "choices": [{"value": "true"}, {"value": True}, {"value": "1"}],
}
SCORE = {"type": "score", "instructions": "How full?", "levels": [{"label": "empty"}, {"label": "full"}]}


def read(folder: Path, *lines: object) -> list[Labelled]:
    file = folder / "examples.jsonl"
    file.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return read_labelled(file)


def line(questions: list[Any], answers: object, **fields: Any) -> dict[str, Any]:
    return {"input": "Hi", "questions": questions, "answers": answers} | fields


def test_right_options(tmp_path: Path) -> None:
    """Truth of a predicate, a value of its type, a label or a number; blank lines are none."""
    first, second = read(
        tmp_path,
        line([PREDICATE, CHOICE, SCORE], [True, True, "full"], model="other", safety_identifier="s"),
        "\n  \n",
        line([SCORE, CHOICE, PREDICATE], [0, "true", False]),
    )
    assert (first.right, second.right) == ((1, 1, 1), (0, 0, 0))
    assert [question.type for question in first.questions] == ["predicate", "choice", "score"]
    assert second.place.endswith("examples.jsonl, line 4")
    sent = {"input": "Hi", "questions": [PREDICATE, CHOICE, SCORE]}
    assert first.sent("m") == sent | {"model": "m", "safety_identifier": "s"}


def test_images_are_read(tmp_path: Path) -> None:
    """Those of the shared input, of a tool and of a question; data is none, whatever it looks like."""
    (tmp_path / "a.png").write_bytes(b"content")
    shown = {"type": "input_image", "image_url": "a.png"}
    data = {"type": "input_json", "data": shown}
    items = [
        {"role": "user", "content": [shown, data]},
        {"type": "function_call", "call_id": "c", "name": "see", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [shown]},
    ]
    web = {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "low"}
    question = PREDICATE | {"instructions": [web, shown]}
    (one,) = read(tmp_path, line([question], [True], input=items))
    body: Any = one.sent("m")
    images = [body["input"][0]["content"][0], body["input"][2]["output"][0]]
    images.append(body["questions"][0]["instructions"][1])
    for image in images:
        assert base64.b64decode(image["image_url"].partition(",")[2]) == b"content"
    assert body["input"][0]["content"][1] == data
    assert body["questions"][0]["instructions"][0] == web


def test_files_are_read(tmp_path: Path) -> None:
    """PDFs beside the file, as data; those elsewhere are the server's to fetch."""
    content = pdf("", "")
    (tmp_path / "report.pdf").write_bytes(content)
    beside = {"type": "input_file", "file_url": "report.pdf", "pages": "2"}
    web = {"type": "input_file", "file_url": "https://a.example/b.pdf"}
    items = [{"role": "user", "content": [beside, web]}]
    (one,) = read(tmp_path, line([PREDICATE | {"instructions": [beside]}], [True], input=items))
    body: Any = one.sent("m")
    shown, elsewhere = body["input"][0]["content"]
    assert elsewhere == web
    for part in (shown, body["questions"][0]["instructions"][0]):
        assert part.keys() == {"type", "file_data", "pages"}
        assert base64.b64decode(part["file_data"].partition(",")[2]) == content
    DecisionsRequest.model_validate(body)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("{\n", "is not a JSON object"),
        ("[1]\n", "is not a JSON object"),
        (line([PREDICATE], None), "answers must be an array of 1"),
        (line([PREDICATE], [True, False]), "answers must be an array of 1"),
        (line([PREDICATE], ["yes"]), r"answers\[0\] must be true or false"),
        (line([PREDICATE], [1]), r"answers\[0\] must be true or false"),
        (line([PREDICATE, CHOICE], [True, 1]), r"answers\[1\] must be one of the choices' values"),
        (line([CHOICE], ["other"]), r"answers\[0\] must be one of the choices' values"),
        (line([SCORE], [2]), r"answers\[0\] must be one of the levels' labels, or a number from 0 to 1"),
        (line([SCORE], [True]), r"answers\[0\] must be one of the levels' labels"),
        (line([SCORE], ["half"]), r"answers\[0\] must be one of the levels' labels"),
        (line([CHOICE | {"choices": [{"value": "a"}]}], ["a"]), r"questions\[0\].choices"),
        (line([PREDICATE], [True], temperature=0), "temperature"),
        (
            line([PREDICATE], [True], input=[{"role": "user", "content": [{"type": "input_image"}]}]),
            r"input\[0\].content\[0\].image_url",
        ),
        (
            line([PREDICATE | {"instructions": [{"type": "input_image", "image_url": "none.png"}]}], [True]),
            "The image none.png cannot be read: no such file",
        ),
        (
            line([PREDICATE | {"instructions": [{"type": "input_file", "file_url": "none.pdf"}]}], [True]),
            "none.pdf cannot be read: no such file",
        ),
    ],
)
def test_mistakes(wrong: object, said: str, tmp_path: Path) -> None:
    """The number of the line, and what is wrong there."""
    with pytest.raises(StartupError, match=rf"examples\.jsonl, line 2: .*{said}"):
        read(tmp_path, line([PREDICATE], [True]), wrong)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Is said to be so."""
    with pytest.raises(StartupError, match=r"none\.jsonl cannot be read: no such file"):
        read_labelled(tmp_path / "none.jsonl")
