"""Every response has a request id."""

from collections.abc import Callable

import pytest

from phiserve.api.services import Services
from scripted import ScriptedEngine
from wire import call

MakeServices = Callable[..., Services]


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-1", True), ("", False), ("a b", False), ("x" * 200, False), ("é".encode(), False)]
)
def test_request_id(make_services: MakeServices, sent: str | bytes, kept: bool) -> None:
    """A sane id is echoed, anything else replaced; there always is one."""
    response = call(make_services(ScriptedEngine()), "GET", "/health", headers={"x-request-id": sent})
    returned = response.headers["x-request-id"]
    assert (returned == sent) is kept
    assert returned
