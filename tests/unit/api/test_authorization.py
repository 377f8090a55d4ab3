"""With a key, everything but the load balancer's questions needs it."""

from collections.abc import Callable

import pytest

from phiserve.api.authorization import OPEN_PATHS
from phiserve.api.services import Services
from scripted import ScriptedEngine
from wire import ANSWER, BODY, call

MakeServices = Callable[..., Services]
KEY = "sécret-日本"
GET_ROUTES = [("GET", "/v1/models"), ("GET", "/metrics"), ("GET", "/nowhere")]
ROUTES = [("POST", "/v1/chat/completions"), ("POST", "/tokenize"), *GET_ROUTES]


def ask(services: Services, method: str, path: str, authorization: str | None) -> int:
    """The status of one request."""
    headers = {} if authorization is None else {"authorization": authorization.encode()}
    return call(services, method, path, headers=headers, json=BODY if method == "POST" else None).status_code


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_key_is_needed(make_services: MakeServices, method: str, path: str) -> None:
    """Without it, with a wrong one, under another scheme: 401. With it: answered."""
    services = make_services(ScriptedEngine(ANSWER), api_key=KEY)
    for wrong in (
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {KEY}",
        KEY,
        f"Bearer {KEY}x",
        "Bearer sécret-??",
    ):
        assert ask(services, method, path, wrong) == 401
    expected = 404 if path == "/nowhere" else 200
    assert ask(services, method, path, f"Bearer {KEY}") == expected
    assert ask(services, method, path, f"bearer {KEY}") == expected


@pytest.mark.parametrize("path", [*OPEN_PATHS, "/static-offline-docs/swagger-ui-bundle.js"])
def test_open_routes(make_services: MakeServices, path: str) -> None:
    """A load balancer has no key, and a person enters it on the page of the API."""
    assert ask(make_services(ScriptedEngine(), api_key=KEY), "GET", path, None) == 200


def test_envelope(make_services: MakeServices) -> None:
    """The refusal is OpenAI's error object, with HTTP's challenge and a request id."""
    response = call(make_services(ScriptedEngine(), api_key=KEY), "GET", "/v1/models")
    assert response.json()["error"]["code"] == "invalid_api_key"
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["x-request-id"]
    assert KEY not in response.text


def test_no_key_no_question(make_services: MakeServices) -> None:
    """Without the setting nobody is asked."""
    assert ask(make_services(ScriptedEngine()), "GET", "/v1/models", None) == 200


def test_key_is_not_shown(make_services: MakeServices) -> None:
    """Not even where the settings are printed."""
    assert KEY not in repr(make_services(ScriptedEngine(), api_key=KEY).settings)
