"""Which of several an image is: what is asked, and the cells that the answers become."""

import json
from pathlib import Path
from typing import Any

import pytest

from pdfs import pdf, text_page
from phiserve.cli.batch.choices import ImageChoices
from phiserve.cli.batch.work import Outcome
from phiserve.cli.content import Detail
from phiserve.cli.decide import typed_choice
from phiserve.errors import StartupError
from phiserve.protocol.batches.bodies import check_line
from phiserve.protocol.batches.lines import BatchLine

CHOICES = ImageChoices([typed_choice("Pet?=cat,dog"), typed_choice("Size?=small,large")], Detail.LOW)


def answer(chosen: str, likelihood: float) -> dict[str, Any]:
    """An answer to a choice."""
    others = [{"value": "other", "probability": 1 - likelihood}]
    probabilities = [*others, {"value": chosen, "probability": likelihood}]
    return {
        "type": "choice",
        "name": None,
        "choice": chosen,
        "confidence": 0.5,
        "probabilities": probabilities,
    }


def outcome(*answers: Any) -> Outcome:
    return Outcome(200, "r", json.dumps({"model": "m", "answers": answers}).encode())


def test_requests(tmp_path: Path) -> None:
    """All questions about one look at the image, as the route takes them."""
    (tmp_path / "a.png").write_bytes(b"x")
    body = json.loads(CHOICES.request(str(tmp_path / "a.png"), "m").body)
    (shown,) = body["input"][0]["content"]
    assert (shown["type"], shown["detail"]) == ("input_image", "low")
    assert [question["instructions"] for question in body["questions"]] == ["Pet?", "Size?"]
    check_line(CHOICES.line("m"))
    (tmp_path / "r.pdf").write_bytes(pdf(text_page("one")))
    paged = ImageChoices(CHOICES.questions, Detail.LOW, "1")
    (document,) = json.loads(paged.request(str(tmp_path / "r.pdf"), "m").body)["input"][0]["content"]
    assert (document["type"], document["pages"], document["detail"]) == ("input_file", "1", "low")
    whole = ImageChoices(CHOICES.questions).about(document["file_data"], "m")
    check_line(BatchLine(1, "", whole.url, whole.body, "m", ""))
    assert "pages" not in json.loads(whole.body)["input"][0]["content"][0]
    with pytest.raises(StartupError, match="cannot be read"):
        CHOICES.request(str(tmp_path / "none.png"), "m")


def test_rows() -> None:
    """What was chosen, and its probability, question by question."""
    row = CHOICES.row("a.png", outcome(answer("dog", 0.876543), answer("large", 0.5)))
    assert [row.get(name) for name in CHOICES.columns.all] == ["a.png", "dog", 0.8765, "large", 0.5, None]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (outcome(answer("dog", 1.0)), "an unexpected answer with status 200"),
        (Outcome(200, "r", b"[]"), "an unexpected answer with status 200"),
        (Outcome(400, "r", b'{"error": {"message": "no image"}}'), "no image"),
        (
            outcome({"type": "refusal", "name": None}, answer("large", 0.5)),
            "no answer to 'Pet?': the model would say something else",
        ),
    ],
)
def test_rows_that_failed(given: Outcome, reason: str) -> None:
    """They have an error, and nothing else."""
    assert CHOICES.row("a.png", given) == {"file": "a.png", "error": reason}


def test_equal_columns() -> None:
    """A question that is asked twice, or called as another column is, is a mistake."""
    for twice in ("Pet?=a,b", "Pet? (probability)=a,b"):
        with pytest.raises(StartupError, match=r"Two columns of the table would be called 'Pet\?"):
            _ = ImageChoices([typed_choice("Pet?=cat,dog"), typed_choice(twice)]).columns
