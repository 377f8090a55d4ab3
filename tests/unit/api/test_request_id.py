"""Every response has a request id."""

from collections.abc import Callable

import pytest

from phiserve.api.services import Services
from scripted import ScriptedEngine
from wire import call

MakeServices = Callable[..., Services]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("abc-1", True), ("", False), ("a b", False), ("x" * 200, False), ("é".encode(), False)],
)
def test_request_id(make_services: MakeServices, sent: str | bytes, kept: bool) -> None:
    """A sane id is echoed, anything else replaced; there always is one."""
    response = call(make_services(ScriptedEngine()), "GET", "/health", headers={"x-request-id": sent})
    returned = response.headers["x-request-id"]
    assert (returned == sent) is kept
    assert returned


@pytest.mark.parametrize("origin", ["https://page.example", "https://other.example"])
def test_preflights_have_one_too(make_services: MakeServices, origin: str) -> None:
    """Granted or not: they are answered before any route is looked for."""
    services = make_services(ScriptedEngine(), cors_origins=["https://page.example"], api_key="k")
    headers = {"origin": origin, "access-control-request-method": "POST", "x-request-id": "abc-1"}
    response = call(services, "OPTIONS", "/v1/chat/completions", headers=headers)
    assert "access-control-allow-methods" in response.headers
    assert response.headers["x-request-id"] == "abc-1"
