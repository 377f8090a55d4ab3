"""A request for decisions -> the inner one, and what was decided -> the answer."""

import math
import uuid
from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from phiserve.chat.joining import checked_text
from phiserve.core import TokenCounts
from phiserve.decisions.figures import choice_confidence, clamped, rounded, score, score_confidence, shown
from phiserve.decisions.questions import PREDICATE_OPTIONS, Option, texts_of
from phiserve.decisions.questions import Question as InnerQuestion
from phiserve.decisions.request import Decided, DecisionRequest
from phiserve.protocol.decisions.content import parts_of
from phiserve.protocol.decisions.request import Choice, DecisionsRequest, Predicate, Question, Score
from phiserve.protocol.decisions.response import (
    Answer,
    ChoiceAnswer,
    ChoiceProbability,
    Decision,
    DecisionUsage,
    Diagnostics,
    LevelProbability,
    PredicateAnswer,
    RefusalAnswer,
    ScoreAnswer,
)
from phiserve.protocol.decisions.turns import build_conversation


def to_decision_request(
    request: DecisionsRequest,
    tenant: str | None = None,
    cache_salt: str | None = None,
    deadline_s: float | None = None,
    owner: str = "",
) -> DecisionRequest:
    """Translate a request of `tenant`, who may name the files of `owner`; see `GenerationRequest`.

    Raises InvalidRequest for text that is not Unicode, and for an output whose call is not there.
    """
    return DecisionRequest(
        id=f"decision_{uuid.uuid4().hex}",
        conversation=build_conversation(request.input, owner),
        questions=tuple(map(_question, request.questions, range(len(request.questions)))),
        tenant=tenant,
        cache_salt=cache_salt,
        deadline_s=deadline_s,
    )


def decision_of(
    request: DecisionsRequest,
    model: str,
    decided: Sequence[Decided],
    counts: TokenCounts,
    min_label_mass: float,
) -> Decision:
    """The answer. A question whose labels hold less than `min_label_mass` is refused."""
    answers = [
        _answer(question, one, request.return_diagnostics, min_label_mass)
        for question, one in zip(request.questions, decided, strict=True)
    ]
    return Decision(model, answers, DecisionUsage.of(counts))


def _question(question: Question, index: int) -> InnerQuestion:
    param = f"questions[{index}]"
    instructions = tuple(parts_of(question.instructions, f"{param}.instructions"))
    options = tuple(
        Option(checked_text(text, where), checked_text(description, where) or None)
        for text, description, where in _options(question, param)
    )
    return InnerQuestion(question.type, instructions, options, param)


def _options(question: Question, param: str) -> list[tuple[str, str, str]]:
    """Text, description and path of each option."""
    match question:
        case Predicate():
            return [(text, "", param) for text in PREDICATE_OPTIONS]
        case Choice():
            texts = texts_of([choice.value for choice in question.choices])
            described = [choice.description for choice in question.choices]
            paths = [f"{param}.choices[{index}]" for index in range(len(texts))]
        case Score():
            texts = texts_of([level.label for level in question.levels])
            described = [level.description for level in question.levels]
            paths = [f"{param}.levels[{index}]" for index in range(len(texts))]
    return list(zip(texts, described, paths, strict=True))


def _answer(question: Question, decided: Decided, with_diagnostics: bool, min_label_mass: float) -> Answer:
    name, exact = question.given_name, decided.probabilities
    diagnostics: Diagnostics | UnsetType = UNSET
    if with_diagnostics:
        diagnostics = Diagnostics(
            decided.label_mass,
            list(exact),
            [None if value == -math.inf else value for value in decided.logs],
            decided.num_orders,
            decided.flips,
            decided.temperature,
        )
    if decided.label_mass < min_label_mass:
        return RefusalAnswer(name=name, diagnostics=diagnostics)
    figures = shown(exact)
    match question:
        case Predicate():
            return PredicateAnswer(name=name, probability=figures[1], diagnostics=diagnostics)
        case Choice():
            values = [choice.value for choice in question.choices]
            return ChoiceAnswer(
                name=name,
                choice=values[exact.index(max(exact))],
                probabilities=list(map(ChoiceProbability, values, figures)),
                confidence=clamped(rounded(choice_confidence(exact))),
                diagnostics=diagnostics,
            )
        case Score():
            labels = [level.label for level in question.levels]
            return ScoreAnswer(
                name=name,
                score=rounded(score(exact)),
                probabilities=list(map(LevelProbability, range(len(labels)), labels, figures)),
                confidence=clamped(rounded(score_confidence(exact))),
                diagnostics=diagnostics,
            )
