"""A response while it is answered."""

from collections.abc import Callable

import pytest

from phiserve.answer import Answer
from phiserve.api.responses.draft import Draft
from phiserve.chat.vocabulary import Vocabulary
from phiserve.errors import (
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineFailure,
    InvalidImage,
    Overloaded,
    RequestError,
)
from phiserve.protocol.responses.request import ResponsesRequest
from phiserve.protocol.responses.response import OutputMessage
from phiserve.protocol.responses.translation import begun_response
from scripted import delta


@pytest.fixture
def make_draft(vocabulary: Vocabulary) -> Callable[[], Draft]:
    """Builds drafts of which nothing has been said."""

    def make() -> Draft:
        request = ResponsesRequest(input="Hi")
        return Draft(Answer([1, 2], 0, vocabulary), begun_response(request, "resp_1", "m"))

    return make


def test_an_answer_that_ended(make_draft: Callable[[], Draft]) -> None:
    """All text in one part, the counts, and the moment."""
    draft = make_draft()
    for step in (delta(" a", ids=[5]), delta("b", ids=[6], finish="stop")):
        draft.feed(step)
    draft.end()
    ended = draft.ended()
    (item,) = ended.output
    assert isinstance(item, OutputMessage)
    assert (ended.status, item.content[0].text) == ("completed", "ab")
    assert ended.usage
    assert (ended.usage.input_tokens, ended.usage.output_tokens) == (2, 2)
    assert ended.completed_at is not None
    assert ended.completed_at >= ended.created_at


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineFailure("x"), "server_error"),
        (DeadlineExceeded("x"), "server_error"),
        (InvalidImage("x"), "invalid_image"),
        (ContextLengthExceeded("x"), "invalid_prompt"),
        (Overloaded("x"), "rate_limit_exceeded"),
    ],
)
def test_a_failure_has_one_of_openai_s_words(
    make_draft: Callable[[], Draft], error: RequestError, code: str
) -> None:
    """A response that has said nothing has no output."""
    failed = make_draft().failed(error)
    assert failed.error is not None
    assert (failed.status, failed.error.code, failed.error.message) == ("failed", code, error.message)
    assert failed.output == []
