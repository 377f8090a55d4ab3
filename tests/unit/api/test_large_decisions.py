"""Large requests for decisions leave the event loop to others."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from phiserve.api.services import Services
from phiserve.protocol.decisions.translation import decision_of, to_decision_request
from reading import ReadingEngine
from wire import post

PREDICATE = {"type": "predicate", "instructions": "Is it red?"}
CHOICE = {"type": "choice", "instructions": "Which?", "choices": [{"value": "a"}, {"value": "b"}]}
BODY = {"model": "m", "input": "Hi", "questions": [PREDICATE]}

MakeServices = Callable[..., Services]

ITEMS: list[Any] = [{"role": "user", "content": "Hi"}] * 510
PARTS: list[Any] = [{"type": "input_text", "text": "Hi"}] * 600
VALUES: list[Any] = [{"value": str(number)} for number in range(250)]


@pytest.mark.parametrize(
    ("fields", "on_loop"),
    [
        ({}, True),
        ({"questions": [CHOICE | {"choices": VALUES}] * 3}, False),
        ({"input": ITEMS}, False),
        ({"input": [{"role": "user", "content": PARTS}]}, False),
        ({"questions": [PREDICATE | {"instructions": PARTS}]}, False),
    ],
    ids=["few", "options", "items", "parts", "instructions"],
)
def test_large_requests_leave_the_event_loop_to_others(
    fields: dict[str, Any], on_loop: bool, make_services: MakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Translated and answered on threads."""
    threads: list[threading.Thread] = []

    def watched(work: Callable[..., Any]) -> Callable[..., Any]:
        def watch(*arguments: Any) -> Any:
            threads.append(threading.current_thread())
            return work(*arguments)

        return watch

    for work in (to_decision_request, decision_of):
        monkeypatch.setattr(f"phiserve.api.decisions.{work.__name__}", watched(work))
    response = post(make_services(ReadingEngine()), BODY | fields, "/v1/decisions")
    assert response.status_code == 200, response.text
    assert [thread is threading.main_thread() for thread in threads] == [on_loop, on_loop]
