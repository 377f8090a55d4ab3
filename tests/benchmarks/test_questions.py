"""Questions are asked in the same words as decisions and as chats, in what phiserve's own parsers take."""

import json

import pytest

from benchmarks.questions import LETTERS, TOP_LOGPROBS, Subject, chats, decision, questions
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.decisions.request import DecisionsRequest
from phiserve.protocol.decisions.translation import to_decision_request
from phiserve.protocol.parsing import parse_request

PHOTO = Subject("small PNG", 3, "low")
NOTICE = Subject(None, 3)
SUBJECTS = [PHOTO, NOTICE]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_all_questions_in_one_request(subject: Subject) -> None:
    """Of all three kinds, no two alike; the image once."""
    request = to_decision_request(parse_request(decision(subject, questions(20)), DecisionsRequest))
    assert {question.kind for question in request.questions} == {"predicate", "choice", "score"}
    assert len({question.instructions for question in request.questions}) == len(request.questions) == 20
    assert [image.detail for image in request.shown] == (["low"] if subject.kind else [])


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("held", [True, False])
def test_a_chat_for_each_question(subject: Subject, held: bool) -> None:
    """One greedy token with its alternatives; only our own is held to the letters."""
    asked = questions(3)
    for body, question in zip(chats(subject, asked, held=held), asked, strict=True):
        request = parse_request(body, ChatCompletionRequest)
        assert (request.output_limit, request.temperature, request.top_logprobs) == (1, 0, TOP_LOGPROBS)
        outputs = json.loads(body).get("structured_outputs")
        assert outputs == ({"choice": list(question.letters)} if held else None)


def test_the_same_words_in_both() -> None:
    """What a decision puts before the model is what a chat is asked."""
    asked = questions(9)
    request = to_decision_request(parse_request(decision(PHOTO, asked), DecisionsRequest))
    for question, inner in zip(asked, request.questions, strict=True):
        order = tuple(range(len(inner.options)))
        (asked_first,) = inner.asked()
        shown = f"{asked_first}{inner.listed(order, LETTERS[: len(order)])}"
        assert shown == f"\n\n{question.as_text()}"


def test_images_differ_by_their_number() -> None:
    urls = {Subject("small PNG", number).image()["url"] for number in range(5)}
    assert len(urls) == 5
