"""Which of several an image is: a question that is answered by one of its options, with a probability."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from phiserve.cli.batch.cells import ERROR, FILE, Columns, Row, check_names, failed_row, reason_of_failure
from phiserve.cli.batch.images import PIXEL
from phiserve.cli.batch.work import LineRequest, Outcome
from phiserve.cli.content import PDF_URL, Detail, image_url
from phiserve.cli.decide import Question
from phiserve.protocol.batches.lines import BatchLine, BatchUrl
from phiserve.protocol.decisions.response import Answer, ChoiceAnswer

URL: BatchUrl = "/v1/decisions"


class _Decision(Struct, frozen=True):
    """What is needed of a decision."""

    answers: list[Answer]


@dataclass(frozen=True, slots=True)
class ImageChoices:
    """Questions of type choice about every image, all with one look at it. `pages`: those of PDFs."""

    questions: Sequence[Question]
    detail: Detail = Detail.AUTO
    pages: str | None = None

    @property
    def columns(self) -> Columns:
        """For each question what was chosen, and how likely that is. Raises StartupError."""
        columns = Columns(tuple(name for names in self._names for name in names), properties=True)
        check_names(columns)
        return columns

    def request(self, file: str, model: str) -> LineRequest:
        """The request about one file, which is read. Raises StartupError where it can't be."""
        return self.about(image_url(file), model)

    def line(self, model: str) -> BatchLine:
        """The request about a small image, as a line that stands for them all where they are checked."""
        request = self.about(PIXEL, model)
        return BatchLine(1, "", request.url, request.body, model, "")

    def about(self, url: str, model: str) -> LineRequest:
        """The request about an image by its URL."""
        message = {"type": "message", "role": "user", "content": [self._shown(url)]}
        body = {"model": model, "input": [message], "questions": self.questions}
        return LineRequest(URL, msgspec.json.encode(body))

    def row(self, file: str, outcome: Outcome) -> Row:
        """What has been answered about a file."""
        if outcome.failed:
            return failed_row(file, reason_of_failure(outcome))
        try:
            answers = msgspec.json.decode(outcome.body, type=_Decision).answers
            pairs = list(zip(self._names, answers, strict=True))
        except ValueError:  # msgspec's errors are, too
            return failed_row(file, reason_of_failure(outcome))
        row: Row = {FILE: file, ERROR: None}
        for (name, likelihood), answer in pairs:
            if not isinstance(answer, ChoiceAnswer):
                return failed_row(file, f"no answer to {name!r}: the model would say something else")
            row[name] = answer.choice
            row[likelihood] = next(
                round(one.probability, 4) for one in answer.probabilities if one.value == answer.choice
            )
        return row

    def _shown(self, url: str) -> dict[str, str]:
        """The part that shows an image or a PDF; what OpenAI does not know is in it only where it is said."""
        if not url.startswith(PDF_URL):
            return {"type": "input_image", "image_url": url, "detail": self.detail.value}
        shown = {"type": "input_file", "file_data": url, "filename": "document.pdf"}
        if self.detail is not Detail.AUTO:
            shown["detail"] = self.detail.value
        return shown if self.pages is None else shown | {"pages": self.pages}

    @property
    def _names(self) -> list[tuple[str, str]]:
        """Of each question's two columns."""
        asked = [str(question["instructions"]) for question in self.questions]
        return [(name, f"{name} (probability)") for name in asked]
