"""Which files are meant, and what is asked about each."""

import json
from pathlib import Path
from typing import Any

import pytest

from pdfs import pdf, text_page
from phiserve.cli.batch.images import ImageQuestion, image_files, read_schema
from phiserve.cli.content import Detail, system_messages
from phiserve.errors import StartupError
from phiserve.protocol.batches.bodies import check_line


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what folders hold."""
    monkeypatch.chdir(tmp_path)
    for name in ("scans/b.jpg", "scans/a.PNG", "scans/notes.txt", "scans/r.pdf", "scans/deep/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "scans/folder.jpg").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("named", "found"),
    [
        (["scans"], ["scans/a.PNG", "scans/b.jpg", "scans/r.pdf"]),
        (["scans/*.jpg"], ["scans/b.jpg"]),
        (["scans/**/*.jpg"], ["scans/b.jpg", "scans/deep/c.jpg"]),
        (["scans/notes.txt"], ["scans/notes.txt"]),
        (["scans/r.pdf", "scans/*.jpg", "scans/b.jpg"], ["scans/b.jpg", "scans/r.pdf"]),
    ],
)
def test_files(named: list[str], found: list[str], scans: Path) -> None:
    """In the order of their names, each once; folders are none."""
    assert image_files(named) == found


def test_home_and_odd_names(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern in quotes may begin with a home; a file whose name looks like a pattern is that file."""
    monkeypatch.setenv("HOME", str(scans))
    (scans / "scans/[b].jpg").write_bytes(b"x")
    assert image_files(["~/scans/*.PNG"]) == [str(scans / "scans/a.PNG")]
    assert image_files(["scans/[b].jpg"]) == ["scans/[b].jpg"]


@pytest.mark.parametrize("named", ["scans/*.gif", "none", "scans/deep/none.jpg", "scans/fold*.jpg"])
def test_nothing_found(named: str, scans: Path) -> None:
    """Is a mistake, also beside something that is found."""
    with pytest.raises(StartupError, match="There is no image "):
        image_files(["scans", named])


def test_requests(scans: Path) -> None:
    """An image, or pages of a PDF, then the question; what is not said is not sent."""
    (scans / "r.pdf").write_bytes(pdf(text_page("one"), text_page("two")))
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
    question = ImageQuestion("What?", system_messages("Be brief"), schema, Detail.LOW, "2", 9, 0.5)
    body = json.loads(question.request("scans/b.jpg", "m").body)
    assert body["messages"][0] == {"role": "system", "content": "Be brief"}
    image, text = body["messages"][1]["content"]
    assert image["image_url"]["detail"] == "low"
    assert text == {"type": "text", "text": "What?"}
    assert (body["model"], body["max_completion_tokens"], body["temperature"]) == ("m", 9, 0.5)
    assert body["response_format"]["json_schema"]["schema"] == schema
    document = json.loads(question.request("r.pdf", "m").body)
    assert document["messages"][1]["content"][0]["file"]["pages"] == "2"
    plain = json.loads(ImageQuestion("What?").request("scans/b.jpg", "m").body)
    assert plain.keys() == {"model", "messages", "temperature"}
    for one in (question, ImageQuestion("What?")):
        check_line(one.line("m"))
    with pytest.raises(StartupError, match=r"none\.jpg cannot be read"):
        question.request("none.jpg", "m")


def test_schemas(tmp_path: Path) -> None:
    """An object in a file."""
    assert read_schema(None) is None
    (tmp_path / "a.json").write_text('{"type": "object"}')
    assert read_schema(tmp_path / "a.json") == {"type": "object"}
    (tmp_path / "b.json").write_text("[]")
    with pytest.raises(StartupError, match=r"b\.json is no JSON schema"):
        read_schema(tmp_path / "b.json")
    with pytest.raises(StartupError, match=r"c\.json cannot be read"):
        read_schema(tmp_path / "c.json")
