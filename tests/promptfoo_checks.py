"""What clients that look closely demand of answers to decisions: promptfoo's checks as it has published them
(`src/providers/openai/decisions.ts`), and what the AI SDK and LangChain refuse beyond these.

Each returns what is wrong; nothing, where all is well. Questions and decisions are as JSON.
"""

from collections.abc import Iterator, Sequence
from typing import Any

Json = dict[str, Any]

TOLERANCE = 0.01
"""promptfoo's, of sums and of scores."""


def promptfoo(questions: Sequence[Json], decision: Json) -> list[str]:
    """What promptfoo's `openai:decisions` would refuse."""
    answers = decision["answers"]
    if len(answers) != len(questions):
        return [f"{len(answers)} answers to {len(questions)} questions"]
    usage = decision["usage"]
    wrong = []
    if usage["total_tokens"] != usage["input_tokens"] + usage["output_tokens"]:
        wrong.append("usage does not add up")
    for index, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        wrong += [f"answers[{index}] {reason}" for reason in _of_one(question, answer)]
    return wrong


def ai_sdk(questions: Sequence[Json], decision: Json) -> list[str]:
    """What `@ai-sdk/openai` would refuse; it names every question, and chooses among strings."""
    names = [answer["name"] for answer in decision["answers"]]
    wrong = []
    if sorted(map(str, names)) != sorted(question["name"] for question in questions):
        wrong.append("a question is not answered once")
    for answer in decision["answers"]:
        if answer["type"] == "choice" and not isinstance(answer["choice"], str):
            wrong.append(f"{answer['name']}: choice is no string")
        if any(round(figure, 2) != figure for figure in _figures(answer)):
            wrong.append(f"{answer['name']}: more than two decimals")
    return wrong


def langchain(decision: Json) -> list[str]:
    """What LangChain's `OpenAIDecisions` would refuse."""
    wrong = []
    for answer in decision["answers"]:
        if not isinstance(answer["name"], str):
            wrong.append("a name is no string")
        if any(not 0 <= figure <= 1 for figure in _figures(answer)):
            wrong.append(f"{answer['name']}: a figure outside 0 to 1")
        if answer["type"] in ("choice", "score") and "confidence" not in answer:
            wrong.append(f"{answer['name']}: no confidence")
        values = [one["value"] for one in answer.get("probabilities", ())]
        if answer["type"] == "score" and [type(value) for value in values] != [int] * len(values):
            wrong.append(f"{answer['name']}: a level's value is no whole number")
    return wrong


def _of_one(question: Json, answer: Json) -> Iterator[str]:
    if answer["name"] != question.get("name"):
        yield "has another name"
    if answer["type"] == "refusal":
        return
    if answer["type"] != question["type"]:
        yield "is of another type"
        return
    if any(not isinstance(figure, int | float) or not 0 <= figure <= 1 for figure in _figures(answer)):
        yield "has a figure outside 0 to 1"
    if answer["type"] == "predicate":
        return
    probabilities = [one["probability"] for one in answer["probabilities"]]
    if abs(sum(probabilities) - 1) > TOLERANCE:
        yield f"has probabilities that add up to {sum(probabilities)}"
    if answer["type"] == "choice":
        values = [(type(one["value"]), one["value"]) for one in question["choices"]]
        if [(type(one["value"]), one["value"]) for one in answer["probabilities"]] != values:
            yield "has other values"
        if (type(answer["choice"]), answer["choice"]) not in values:
            yield "chooses what was not there"
        return
    labels = [(index, level["label"]) for index, level in enumerate(question["levels"])]
    if [(one["value"], one["label"]) for one in answer["probabilities"]] != labels:
        yield "has other levels"
    expected = sum(index * probability for index, probability in enumerate(probabilities))
    if abs(answer["score"] - expected) / (len(labels) - 1) > TOLERANCE:
        yield f"has the score {answer['score']} where its probabilities say {expected}"


def _figures(answer: Json) -> list[float]:
    """All that must lie between 0 and 1."""
    figures = [answer[key] for key in ("probability", "confidence") if key in answer]
    return figures + [one["probability"] for one in answer.get("probabilities", ())]
