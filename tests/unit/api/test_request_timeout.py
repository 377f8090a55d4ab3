"""The header with which a client says how long it will wait."""

import asyncio
from collections.abc import Callable

import pytest
from starlette.requests import Request

from phiserve.api.request_timeout import deadline_s_of
from phiserve.api.services import Services
from phiserve.errors import InvalidRequest
from scripted import ScriptedEngine, delta
from wire import events, post

MakeServices = Callable[..., Services]


def request(value: str | None) -> Request:
    headers = [] if value is None else [(b"x-request-timeout", value.encode())]
    return Request({"type": "http", "headers": headers})


@pytest.mark.parametrize(
    ("given", "most", "expected"),
    [(None, None, None), (None, 9.0, 9.0), ("2.5", None, 2.5), ("2.5", 9.0, 2.5), ("25", 9.0, 9.0)],
)
def test_the_shorter_wait(given: str | None, most: float | None, expected: float | None) -> None:
    """Of the client's and the server's."""
    assert deadline_s_of(request(given), most) == expected


@pytest.mark.parametrize("given", ["0", "-1", "nan", "inf", "soon", ""])
def test_no_number_of_seconds(given: str) -> None:
    """Is refused by the header's name."""
    with pytest.raises(InvalidRequest) as caught:
        deadline_s_of(request(given), None)
    assert caught.value.param == "x-request-timeout"


def test_over_time(make_services: MakeServices) -> None:
    """504 in OpenAI's shape, in a stream that has begun its error event; the engine's work is ended."""
    hanging = ScriptedEngine([delta("a"), lambda: asyncio.get_running_loop().create_future()])
    headers = {"x-request-timeout": "0.2"}
    whole = post(make_services(hanging), headers=headers)
    assert whole.status_code == 504
    assert whole.json()["error"]["code"] == "request_timeout"
    assert hanging.closed.is_set()
    streamed = post(make_services(hanging), headers=headers, stream=True)
    *_, error, end = events(streamed)
    assert (error["error"]["code"], end) == ("request_timeout", "[DONE]")
