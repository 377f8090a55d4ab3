"""Requests for decisions whose right answers are known, from a file of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue, TypeAdapter, ValidationError

from phiserve.cli.content import image_url
from phiserve.cli.failures import reason_of
from phiserve.cli.streams import typed
from phiserve.errors import InvalidRequest, StartupError
from phiserve.protocol.decisions.request import Choice, DecisionsRequest, Predicate, Question, Score
from phiserve.protocol.parsing import parse_request

_Object = TypeAdapter(dict[str, JsonValue])


@dataclass(frozen=True, slots=True)
class Labelled:
    """One line of the file: a request's body, and the index of each question's right option.

    `body` names images as the line does, so that not all of them are held at once.
    """

    place: str
    body: dict[str, JsonValue]
    questions: tuple[Question, ...]
    right: tuple[int, ...]
    folder: Path

    def sent(self, model: str) -> dict[str, JsonValue]:
        """The body for `model` with its images as data URLs. Raises StartupError."""
        try:
            shown = {key: _with_images(value, self.folder) for key, value in self.body.items()}
        except StartupError as error:
            raise StartupError(f"{self.place}: {error}") from None
        return shown | {"model": model}


def read_labelled(file: Path) -> list[Labelled]:
    """Every line of a file, in its order; images of files are beside it. Blank lines are left out.

    All is checked, also that each image can be read, before any is asked about. Raises StartupError with the
    number of the first wrong line.
    """
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise StartupError(f"{file} cannot be read: {reason_of(error)}") from None
    labelled = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            one = _labelled(line, f"{file}, line {number}", file.parent)
            one.sent("")
            labelled.append(one)
    return labelled


def _labelled(line: bytes, place: str, folder: Path) -> Labelled:
    try:
        given = _Object.validate_json(line)
    except ValidationError:
        raise StartupError(f"{place}: is not a JSON object") from None
    answers = given.pop("answers", None)
    try:
        request = parse_request(json.dumps(given).encode(), DecisionsRequest)
    except InvalidRequest as error:
        raise StartupError(f"{place}: {error}") from None
    if not isinstance(answers, list) or len(answers) != len(request.questions):
        count = len(request.questions)
        raise StartupError(f"{place}: answers must be an array of {count}, the right option of each question")
    right = []
    for index, (question, answer) in enumerate(zip(request.questions, answers, strict=True)):
        option = _index(question, answer)
        if option is None:
            raise StartupError(f"{place}: answers[{index}] must be {_wanted(question)}")
        right.append(option)
    return Labelled(place, given, request.questions, tuple(right), folder)


def _index(question: Question, answer: JsonValue) -> int | None:
    """The index of the option that an answer names; None if there is no such option."""
    match question:
        case Predicate():
            return int(answer) if isinstance(answer, bool) else None
        case Choice():
            return _found([choice.value for choice in question.choices], answer)
        case Score():
            labels = [level.label for level in question.levels]
            if isinstance(answer, int) and not isinstance(answer, bool):
                return answer if 0 <= answer < len(labels) else None
            return _found(labels, answer)


def _found(options: Sequence[str | bool], answer: JsonValue) -> int | None:
    """Where an answer is among options: true and "true" differ, and so do true and 1."""
    typed = [(type(option), option) for option in options]
    wanted = (type(answer), answer)
    return typed.index(wanted) if wanted in typed else None


def _wanted(question: Question) -> str:
    match question:
        case Predicate():
            return "true or false"
        case Choice():
            return "one of the choices' values"
        case Score():
            return f"one of the levels' labels, or a number from 0 to {len(question.levels) - 1}"


def _with_images(value: JsonValue, folder: Path) -> JsonValue:
    """A part of a body with the files of images and PDFs in it read, however deep they are."""
    if isinstance(value, list):
        return [_with_images(one, folder) for one in value]
    if not isinstance(value, dict) or value.get("type") == "input_json":
        return value
    shown = value.get("image_url")
    if value.get("type") == "input_image" and isinstance(shown, str):
        return {**value, "image_url": image_url(shown, folder)}
    shown = value.get("file_url")
    if value.get("type") == "input_file" and isinstance(shown, str):
        url = image_url(shown, folder)
        if url != typed(shown):  # which it is where it is elsewhere
            others = {key: one for key, one in value.items() if key != "file_url"}
            return {**others, "file_data": url}
    return {key: _with_images(one, folder) for key, one in value.items()}
