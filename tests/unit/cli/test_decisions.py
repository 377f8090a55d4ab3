"""`phiserve decisions calibrate`: from examples through a server to a file of temperatures."""

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from phiserve.cli.decisions import Answered, in_force, judged
from phiserve.cli.main import app
from phiserve.decisions.calibration import LEAST_EXAMPLES, Example, Quality, quality
from phiserve.decisions.figures import normalised
from phiserve.decisions.questions import Kind
from phiserve.decisions.temperatures import Temperatures
from servers import Reply, WebServer, refusal, web_server

USAGE = {"input_tokens": 1, "input_tokens_details": {"cached_tokens": 0}, "total_tokens": 1}
VALUES = ("a", "b", "c")
LOUD = 3.0
"""The scripted model is so much surer than it should be."""


@dataclass
class Deciding(WebServer):
    """Answers each question with the logarithms that its instructions hold, at a temperature in force."""

    in_force: float = 1.0
    with_diagnostics: bool = True
    refuses: bool = False
    instead: dict[int, Reply] = field(default_factory=dict)

    def answer(self, path: str, body: bytes) -> Reply:
        """To the n-th POST, what `instead` has for it."""
        reply = super().answer(path, body)
        if not body or len(self.requests) in self.instead:
            return self.instead.get(len(self.requests), reply)
        answers = [self._answer(question) for question in json.loads(body)["questions"]]
        whole = {"model": "m", "answers": answers, "usage": USAGE}
        return 200, "application/json", json.dumps(whole).encode()

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        logs = json.loads(question["instructions"])
        exact = normalised([value / self.in_force for value in logs])
        diagnostics = {"label_mass": 1, "probabilities": exact, "logprobs": logs, "orders": 2, "flips": 0}
        told = {"diagnostics": diagnostics | {"temperature": self.in_force}} if self.with_diagnostics else {}
        if self.refuses:
            return {"type": "refusal", "name": None} | told
        if question["type"] == "predicate":
            return {"type": "predicate", "name": None, "probability": exact[1]} | told
        chosen = [{"value": value, "probability": one} for value, one in zip(VALUES, exact, strict=True)]
        answer = {"type": "choice", "name": None, "choice": "a", "confidence": 0.5}
        return answer | {"probabilities": chosen} | told


def lines(count: int) -> list[dict[str, Any]]:
    """Requests whose right answers come as often as their logarithms say once they are made less loud."""
    chance = random.Random(3)
    made = []
    for _ in range(count):
        questions: list[Any] = []
        answers: list[Any] = []
        for options in (2, 3):
            quiet = [chance.gauss(0, 1.5) for _ in range(options)]
            right = chance.choices(range(options), normalised(quiet))[0]
            loud = json.dumps([value * LOUD for value in quiet])
            choices = {"choices": [{"value": value} for value in VALUES]} if options == 3 else {}
            kind = "choice" if options == 3 else "predicate"
            questions.append({"type": kind, "instructions": loud} | choices)
            answers.append(VALUES[right] if options == 3 else bool(right))
        made.append({"input": "Hi", "questions": questions, "answers": answers})
    return made


def only(line: dict[str, Any], kinds: Sequence[str]) -> dict[str, Any]:
    """A request with its questions of these kinds alone."""
    asked = zip(line["questions"], line["answers"], strict=True)
    questions, answers = zip(*(pair for pair in asked if pair[0]["type"] in kinds), strict=True)
    return line | {"questions": questions, "answers": answers}


def calibrate(
    server: WebServer,
    folder: Path,
    count: int,
    *words: str,
    kinds: Sequence[str] = ("predicate", "choice"),
    few: Sequence[str] = (),
) -> Result:
    """With questions of these kinds in each line, of the `few` in the first three."""
    made = [
        only(line, [kind for kind in kinds if number < 3 or kind not in few])
        for number, line in enumerate(lines(count))
    ]
    (folder / "examples.jsonl").write_text("\n".join(map(json.dumps, made)))
    files = [str(folder / "examples.jsonl"), "-o", str(folder / "out.json")]
    return CliRunner().invoke(app, ["decisions", "calibrate", "--url", server.url, *files, *words])


def _said(result: Result) -> str:
    return " ".join(result.stderr.split())


@pytest.mark.parametrize("in_force", [1.0, 2.0, 0.001])
def test_temperatures_are_found(in_force: float, tmp_path: Path) -> None:
    """Whatever temperature the server has now; the file is what the setting takes, the table tells both."""
    with web_server(Deciding(in_force=in_force)) as server:
        result = calibrate(server, tmp_path, 400, "--plot", str(tmp_path / "plot.png"))
    assert result.exit_code == 0, result.output
    assert len(server.requests) == 400
    assert all(request["return_diagnostics"] and request["model"] == "m" for request in server.requests)
    assert all("answers" not in request for request in server.requests)
    fitted = Temperatures.load(tmp_path / "out.json")
    assert fitted.of("predicate", 2) == pytest.approx(LOUD, rel=0.2)
    assert fitted.of("choice", 3) == pytest.approx(LOUD, rel=0.2)
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()[1:]}
    assert list(rows) == ["predicate", "choice", "all"]
    assert rows["all"][0] == "800"
    _, _, error, error_after, brier, brier_after = map(float, rows["all"])
    assert error_after < 0.06 < error
    assert brier_after < brier
    assert "Each of 5 parts of the lines is judged by what the others teach." in _said(result)
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("refuses", [False, True])
def test_few_examples(refuses: bool, tmp_path: Path) -> None:
    """Are said to be few; what the server would refuse to answer counts as well."""
    with web_server(Deciding(refuses=refuses)) as server:
        result = calibrate(server, tmp_path, 3)
    assert result.exit_code == 0, result.output
    few = "Only 3 questions of kind choice: 100 or more make a temperature sure, from fewer than 20 none is"
    said = " ".join(result.stderr.split())
    assert few in said
    assert "No temperature is fitted" in said
    assert not (tmp_path / "out.json").exists()
    assert not (tmp_path / "reliability.png").exists()


def test_temperatures_that_are_not_fitted_stay(tmp_path: Path) -> None:
    """Those of the file that is written, else those that the server has; where none is fitted, the file."""
    file, found = tmp_path / "out.json", Temperatures({"choice": {2: 1.5, 3: 2.5}, "score": {5: 1.2}})
    found.save(file)
    before = file.read_bytes()
    with web_server(Deciding()) as server:
        assert calibrate(server, tmp_path, 10).exit_code == 0
    assert file.read_bytes() == before
    with web_server(Deciding()) as server:
        result = calibrate(server, tmp_path, 40, kinds=("predicate",))
    assert "As they were: choice 1.5 for 2 options, 2.5 for 3 options; score 1.2 for 5" in _said(result)
    written = Temperatures.load(file)
    assert written.by_kind.keys() == {"predicate", "choice", "score"}
    assert [written.by_kind[kind] for kind in found.by_kind] == [*found.by_kind.values()]
    file.unlink()
    with web_server(Deciding(in_force=2.0)) as server:
        calibrate(server, tmp_path, 40, few=("choice",))
    written = Temperatures.load(file)
    assert written.by_kind["choice"] == {3: 2.0}
    assert written.by_kind["predicate"] != {2: 2.0}


def test_a_file_of_something_else(tmp_path: Path) -> None:
    """Is not written over, and nothing is asked."""
    (tmp_path / "out.json").write_text("[1]")
    with web_server(Deciding()) as server:
        result = calibrate(server, tmp_path, 5)
    assert result.exit_code == 1
    assert "out.json" in _said(result)
    assert server.requests == []
    assert (tmp_path / "out.json").read_text() == "[1]"


def test_each_part_is_judged_by_the_others() -> None:
    """Answers that are always right in one request and wrong in the other teach each other nothing."""
    requests = [[answered("predicate", SURE, right)] * 200 for right in (0, 1)]
    before, after = qualities(requests)
    assert before.brier == pytest.approx((2 * 0.1**2 + 2 * 0.9**2) / 2)
    assert after.brier > before.brier


SURE = (math.log(0.9), math.log(0.1))
UNSURE = (math.log(0.5), math.log(0.3), math.log(0.2))


def answered(kind: Kind, logs: tuple[float, ...], right: int, in_force: float = 1.0) -> Answered:
    return Answered(Example(kind, logs, right), in_force)


def qualities(
    requests: Sequence[Sequence[Answered]], kept: Temperatures | None = None
) -> tuple[Quality, Quality]:
    compared = judged(requests, Temperatures() if kept is None else kept)
    before, after = (quality(one, Temperatures()) for one in (compared.before, compared.after))
    return before, after


@pytest.mark.parametrize("count", [20, 39])
def test_what_is_written_for_few_is_judged(count: int) -> None:
    """A part of them is fewer than a temperature is fitted to, and has one all the same."""
    requests = [[answered("predicate", SURE, number % 2)] for number in range(count)]
    before, after = qualities(requests)
    assert after.calibration_error < before.calibration_error / 2


def test_a_number_of_options_is_judged_by_its_own_temperature() -> None:
    """Of a number that has just enough, a part has not: it is not judged by that of its kind."""
    right = [[answered("choice", SURE, 0)] for _ in range(400)]
    guessed = [[answered("choice", UNSURE, number % 3)] for number in range(LEAST_EXAMPLES)]
    compared = judged([*right, *guessed], Temperatures())
    likeliest = [max(one.probabilities(1)) for one in compared.after if len(one.logs) == len(UNSURE)]
    assert max(likeliest) < 0.4


def test_kinds_without_a_temperature_are_judged_as_they_stay() -> None:
    """By what the server has, or the file that is written: after is as before."""
    requests = [[answered("predicate", SURE, number % 2, in_force=2.0)] for number in range(19)]
    before, after = qualities(requests, in_force(requests))
    assert after == before
    _, as_written = qualities(requests, Temperatures({"predicate": {2: 100.0}}))
    assert as_written.calibration_error < 0.1 < before.calibration_error


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (Deciding(instead={1: refusal(400, "input: too long")}), "line 1: input: too long"),
        (Deciding(with_diagnostics=False), "line 1: the server sent an unexpected response"),
        (Deciding(instead={1: (200, "application/json", b"{}")}), "line 1: the server sent an unexpected"),
        (Deciding(instead={1: (200, "text/html", b"<html>")}), "line 1: the server sent an unexpected"),
    ],
)
def test_what_a_server_may_say(server: Deciding, said: str, tmp_path: Path) -> None:
    """One sentence, which names the line, and no file."""
    with web_server(server):
        result = calibrate(server, tmp_path, 5, "--at-once", "1")
    assert result.exit_code == 1
    assert said in " ".join(result.stderr.split())
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [
        (1, (), "needs two lines at least"),
        (2, ("-o", "/no/such/folder/out.json"), "There is no folder /no/such/folder"),
        (2, ("--plot", "/no/such/folder/a.png"), "There is no folder /no/such/folder"),
        (2, ("--plot", "plot.svg"), "must end in .png"),
    ],
)
def test_what_is_said_before_anything_is_asked(
    count: int, words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    """One sentence."""
    with web_server(Deciding()) as server:
        result = calibrate(server, tmp_path, count, *words)
    assert result.exit_code == 1
    assert said in " ".join(result.stderr.split())
    assert server.requests == []
