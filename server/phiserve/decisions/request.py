"""What a surface asks to have decided, and what comes out, in the server's own nouns."""

from dataclasses import dataclass

from phiserve.core import Conversation, DocumentPlaceholder, ImagePlaceholder
from phiserve.decisions.questions import Question
from phiserve.turns import Line


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """Questions about one conversation. The other fields are those of `GenerationRequest`."""

    id: str
    conversation: Conversation
    questions: tuple[Question, ...]
    priority: int = 0
    is_sent_once: bool = False
    deadline_s: float | None = None
    tenant: str | None = None
    cache_salt: str | None = None

    @property
    def shown(self) -> tuple[ImagePlaceholder | DocumentPlaceholder, ...]:
        """All images and files: the shared ones, then those of the questions."""
        own = (part for question in self.questions for part in question.instructions)
        return (*self.conversation.shown, *(part for part in own if not isinstance(part, str)))

    @property
    def num_options(self) -> int:
        """Options of all questions."""
        return sum(len(question.options) for question in self.questions)

    @property
    def line(self) -> Line:
        """Where it waits: tenants take turns, batch work comes last."""
        return Line(self.priority, self.tenant)


@dataclass(frozen=True, slots=True)
class Decided:
    """What a question is answered with.

    `probabilities`: one for each option, in their order, unrounded; they add up to 1. `logs`: logarithms of
    them before `temperature`, which calibrated them. `label_mass`: how much of the whole vocabulary's
    probability the labels hold, the mean over all orders. `flips`: how many of the other orders have another
    most likely option than the first.
    """

    probabilities: tuple[float, ...]
    logs: tuple[float, ...]
    label_mass: float
    num_orders: int
    flips: int
    temperature: float = 1.0
