"""Questions become reads, and what these tell is put in the questions' own order."""

from phiserve.chat.encoder import PromptEncoder
from phiserve.decisions.figures import Reading
from phiserve.decisions.labels import Labels
from phiserve.decisions.questions import Option, Question
from phiserve.decisions.reads import reading_of, reads_of


def question(num_options: int) -> Question:
    options = tuple(Option(f"option {number}") for number in range(num_options))
    return Question("choice", ("What?",), options, "questions[0]")


def test_all_reads(encoder: PromptEncoder) -> None:
    """Each question in each order, 128 labels at a time."""
    labels = Labels.load(encoder)
    reads = list(reads_of([question(2), question(200)], labels, 2))
    assert [(read.question, read.number, len(read.ids)) for read in reads] == [
        (0, 0, 2),
        (0, 1, 2),
        *((1, number, count) for number in (0, 1) for count in (128, 72)),
    ]
    assert [read.order for read in reads[:2]] == [(0, 1), (1, 0)]
    assert (*reads[2].ids, *reads[3].ids) == labels.ids[:200]


def test_what_is_told() -> None:
    """Of the option shown first, first."""
    assert reading_of((2, 0, 1), (-1.0, -2.0, -3.0)) == Reading((-2.0, -3.0, -1.0))
