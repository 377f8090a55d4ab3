"""What has to be read to decide questions: each in several orders of its options, so many labels at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from phiserve.core import MAX_READ_TOKENS
from phiserve.decisions.figures import Reading
from phiserve.decisions.labels import Labels
from phiserve.decisions.questions import Order, Question, orders


@dataclass(frozen=True, slots=True)
class Read:
    """One prompt whose next token's labels are read: a question with its options in one of its orders.

    `question` and `number` count questions and their orders; `ids` are the labels'.
    """

    question: int
    number: int
    order: Order
    ids: tuple[int, ...]


def reads_of(questions: Sequence[Question], labels: Labels, num_orders: int) -> Iterator[Read]:
    """All reads: of each question in each order, for as many labels as one read may name."""
    for index, question in enumerate(questions):
        ids = labels.ids[: len(question.options)]
        for number, order in enumerate(orders(len(question.options), num_orders)):
            for start in range(0, len(ids), MAX_READ_TOKENS):
                yield Read(index, number, order, ids[start : start + MAX_READ_TOKENS])


def reading_of(order: Order, logprobs: Sequence[float]) -> Reading:
    """Log-probabilities as the prompt showed the options -> in the question's own order."""
    given = [0.0] * len(order)
    for index, logprob in zip(order, logprobs, strict=True):
        given[index] = logprob
    return Reading(tuple(given))
