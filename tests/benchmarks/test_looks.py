"""All questions about an image are sent at once; what comes back is timed and looked at."""

import json
from typing import Any

import pytest

from benchmarks.looks import CHAT_PATH, DECISIONS_PATH, Look, Requests, look_at, summary
from servers import Reply, WebServer, refusal, web_server

QUESTIONS = [{"type": "predicate"}, {"type": "score"}]
WITHOUT = "an answer without its figures"
ASKED = json.dumps({"questions": QUESTIONS}).encode()
CHAT = json.dumps({"messages": []}).encode()


def reply(**content: Any) -> Reply:
    return 200, "application/json", json.dumps(content).encode()


def chatted(*top: str) -> Reply:
    """A chat's one token."""
    token = {"token": "A", "top_logprobs": [{"token": one} for one in top]}
    return reply(choices=[{"logprobs": {"content": [token]}}])


def looks(answers: list[Reply], *groups: Requests) -> list[Look]:
    with web_server(WebServer(posts=answers)) as server:
        return look_at(server.url.removesuffix("/v1"), groups, 1)


def test_decisions_are_one_request() -> None:
    """Answered when each question is."""
    (look,) = looks([reply(answers=QUESTIONS)], Requests(DECISIONS_PATH, (ASKED,), 2))
    assert (look.questions, len(look.ends_s), look.failures) == (2, 1, ())
    assert look.first_s == look.last_s > 0


def test_chats_are_one_for_each_question() -> None:
    (look,) = looks([chatted("A", "B")], Requests(CHAT_PATH, (CHAT, CHAT, CHAT), 3))
    assert (look.questions, len(look.ends_s), look.failures) == (3, 3, ())
    assert 0 < look.first_s <= look.last_s


@pytest.mark.parametrize(
    ("answer", "group", "failure"),
    [
        (refusal(429, "full"), Requests(CHAT_PATH, (CHAT,), 1), "429: "),
        (chatted(), Requests(CHAT_PATH, (CHAT,), 1), WITHOUT),
        (
            reply(answers=QUESTIONS[:1]),
            Requests(DECISIONS_PATH, (ASKED,), 2),
            WITHOUT,
        ),
    ],
)
def test_failures_are_told(answer: Reply, group: Requests, failure: str) -> None:
    (look,) = looks([answer], group)
    assert [one.startswith(failure) for one in look.failures] == [True]


def test_nobody_there() -> None:
    (look,) = look_at("http://127.0.0.1:9", [Requests(CHAT_PATH, (CHAT,), 1)], 1)
    assert len(look.failures) == 1


def test_rates_are_over_the_whole() -> None:
    """An image with a failure counts as failed and nowhere else."""
    measured = summary(
        [Look(20, 0.0, (1.0, 2.0), ()), Look(20, 2.0, (6.0, 8.0), ()), Look(20, 8.0, (10.0,), ("429",))]
    )
    assert measured == {
        "questions": 60,
        "failed": 1,
        "questions_per_s": 4.0,
        "first_answer_s": 2.5,
        "last_answer_s": 4.0,
        "last_answer_p95_s": pytest.approx(5.8),
    }


def test_nothing_but_failures() -> None:
    assert summary([Look(5, 0.0, (1.0,), ("500",))]) == {"questions": 5, "failed": 1}
