"""The file of a batch's answers, in OpenAI's form: what it holds already, and what comes."""

from collections.abc import Container, Iterator

import msgspec
from blake3 import blake3
from msgspec import Raw, Struct

from phiserve.cli.batch.resumed import ResumedFile
from phiserve.cli.batch.work import Outcome
from phiserve.errors import StartupError, shortened
from phiserve.protocol.batches.lines import LineResponse, answered_line

ID_BYTES = 12
"""Of a line's digest: a chance of one in 10^18 that two of 100,000 lines are taken for one another."""

_PREFIX = "batch_req_"
_BEGINNING = b'{"id":"batch_req_'
"""Of every line; what begins otherwise is not ours to cut off."""


class _Response(Struct, frozen=True):
    """What is needed of a response."""

    status_code: int


class _Head(Struct, frozen=True):
    """What is needed of a line that is there already; all of it must be JSON."""

    id: str
    custom_id: str
    response: _Response


def digest_of(line: bytes) -> bytes:
    """What stands for a line of the input: for its bytes without what surrounds its JSON."""
    return blake3(line.strip()).digest(ID_BYTES)


class BatchOutput:
    """Answers as lines of JSON, and those that are errors in a file of their own, where there is one.

    The id of an answer is the digest of the line that it answers: so a later run sees what is done, and that
    it is the same input.
    """

    def __init__(self, answers: ResumedFile, errors: ResumedFile | None) -> None:
        self._answers = answers
        self._errors = errors or answers

    def done(self, known: Container[bytes]) -> dict[bytes, bool]:
        """Digests of all lines that are answered, and whether by an error; a half-written one is cut off.

        Raises StartupError for what is no answer, or the answer to a line that is not `known`.
        """
        files = {self._answers.path: self._answers, self._errors.path: self._errors}
        return dict(answer for file in files.values() for answer in _answers(file, known))

    def add(self, line: bytes, custom_id: str, outcome: Outcome) -> None:
        """Write the answer to a line of the input. Raises StartupError."""
        response = LineResponse(outcome.status, outcome.request_id, Raw(outcome.body))
        file = self._errors if outcome.failed else self._answers
        file.append(answered_line(_PREFIX + digest_of(line).hex(), custom_id, response))


def _answers(file: ResumedFile, known: Container[bytes]) -> Iterator[tuple[bytes, bool]]:
    end = 0
    with file.reader() as lines:
        for number, line in enumerate(lines, 1):
            place = f"{file.path}, line {number}"
            if line.endswith(b"\n"):
                end += len(line)
                yield _answer(line, known, place)
            elif line[: len(_BEGINNING)] == _BEGINNING[: len(line)]:
                file.cut(end)
            else:
                raise _stranger(place)


def _answer(line: bytes, known: Container[bytes], place: str) -> tuple[bytes, bool]:
    try:
        head = msgspec.json.decode(line, type=_Head)
        digest = bytes.fromhex(head.id.removeprefix(_PREFIX))
    except ValueError:  # msgspec's errors are, too
        raise _stranger(place) from None
    if digest not in known:
        raise StartupError(
            f"{place}: answers no line of this input, its custom_id is {shortened(head.custom_id)!r}; "
            "name another file for the output"
        )
    return digest, head.response.status_code != 200


def _stranger(place: str) -> StartupError:
    return StartupError(f"{place}: is no answer of a batch; name another file for the output")
