"""How one event is written."""

from phiserve.core import TokenLogprob, TopLogprob
from phiserve.protocol.responses.events import ErrorEvent, EventLogprob, TextDeltaEvent, typed_event


def test_an_event_is_named_by_its_type() -> None:
    """On a line of its own, as OpenAI sends it, and in the payload."""
    written = typed_event(ErrorEvent(3, "broken", "e", None))
    assert written == (
        b"event: error\n"
        b'data: {"sequence_number":3,"message":"broken","code":"e","param":null,"type":"error"}\n\n'
    )


def test_log_probabilities_of_events_have_no_bytes() -> None:
    """Unlike those of a response."""
    logprob = TokenLogprob("a", -0.5, [97], [TopLogprob("b", -1.0, [98])])
    written = typed_event(TextDeltaEvent(0, "msg_1", "a", [EventLogprob.of(logprob)], 0))
    assert (
        b'"logprobs":[{"token":"a","logprob":-0.5,"top_logprobs":[{"token":"b","logprob":-1.0}]}]' in written
    )
