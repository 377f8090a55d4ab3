"""Requests are sent as a load says, and every answer is read to its end."""

import pytest

from benchmarks.load import Closed, Load, Open, send
from servers import WebServer, events, refusal, web_server


@pytest.mark.parametrize("load", [Closed(1), Closed(3), Open(200.0)])
def test_all_are_answered(load: Load) -> None:
    """Each body once."""
    with web_server(WebServer(posts=[events("Hello", " you")])) as server:
        answers = send(
            load, server.url.removesuffix("/v1"), [b'{"number": %d}' % number for number in range(6)]
        )
        assert sorted(request["number"] for request in server.requests) == list(range(6))
    assert [(len(answer.arrivals_s), answer.succeeded) for answer in answers] == [(2, True)] * 6
    assert all(answer.began_s <= answer.arrivals_s[0] <= answer.ended_s for answer in answers)


def test_refusals_and_streams_without_an_end_are_failures() -> None:
    """They are told, and hold up nothing."""
    status, media_type, content = events("Hello")
    broken = (status, media_type, content.removesuffix(b"data: [DONE]\n\n"))
    with web_server(WebServer(posts=[refusal(429, "too many"), broken, events("Hello")])) as server:
        answers = send(Closed(1), server.url.removesuffix("/v1"), [b'{"number": 0}'] * 3)
    assert [answer.succeeded for answer in answers] == [False, False, True]
    assert answers[0].failure.startswith("429: ")
    assert answers[1].failure == "the stream ended early"


def test_nobody_there() -> None:
    (answer,) = send(Closed(1), "http://127.0.0.1:9", [b"{}"])
    assert not answer.succeeded


def test_names() -> None:
    assert [load.name for load in (Closed(1), Closed(16), Open(0.5))] == [
        "1 client",
        "16 clients",
        "0.5 a second",
    ]
