"""With keys, everything but the load balancer's questions needs one."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request

from images import encode, image_part, noise, text_part
from key_files import bearer, secret_of, write_keys
from phiserve.api.authorization import COUNTED_PATHS, OPEN_PATHS, tenant_of
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


def show_to(services: Services, owner: str) -> httpx.Response:
    """A request of an owner, with an image."""
    content = [image_part(encode(noise(30, 20))), text_part("?")]
    body = BODY | {"messages": [{"role": "user", "content": content}]}
    return call(services, "POST", COUNTED_PATHS[0], headers=bearer(owner), json=body)


def test_keys_with_owners(make_services: MakeServices, tmp_path: Path) -> None:
    """They and the simple key are valid together; a revoked one is not."""
    file = write_keys(
        tmp_path / "k", alice={}, bob={"revoked": "2026-01-01"}, carol={"expires": "2020-01-01"}
    )
    services = make_services(ScriptedEngine(ANSWER), api_key=KEY, keys_file=file)
    secrets = (KEY, secret_of("alice"), secret_of("bob"), secret_of("carol"))
    statuses = [ask(services, "GET", "/v1/models", f"Bearer {secret}") for secret in secrets]
    assert statuses == [200, 200, 401, 401]


@pytest.mark.parametrize(
    "host", ["a/health?", "a/health#", "a@b/docs?", "/health?", "a\\health", "[::1]/health?"]
)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_no_header_opens_a_path(make_services: MakeServices, method: str, path: str, host: str) -> None:
    """What a parsed URL would take for the path stands in the Host header: no route opens by it."""
    services = make_services(ScriptedEngine(ANSWER), api_key=KEY)
    headers = {"host": host, "x-original-url": "/health", "x-forwarded-prefix": "/health"}
    assert call(services, method, path, headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["//health", "/health/", "/HEALTH", "/health%2f..%2fv1/models"])
def test_only_open_paths_are_open(make_services: MakeServices, path: str) -> None:
    """To the letter, as the application routes."""
    assert ask(make_services(ScriptedEngine(), api_key=KEY), "GET", path, None) == 401


def test_what_reaches_the_engine(make_services: MakeServices, tmp_path: Path) -> None:
    """A salt and keys of images for each owner; without keys there is no salt."""
    file = write_keys(tmp_path / "k", alice={}, bob={})
    engine = ScriptedEngine(ANSWER)
    services = make_services(engine, keys_file=file)
    for owner in ("alice", "bob", "alice"):
        assert show_to(services, owner).status_code == 200
    alice, bob, again = ((one.cache_salt, one.images[0].key) for one in engine.generations)
    assert alice == again
    assert alice[0] != bob[0]
    assert alice[1] != bob[1]
    engine = ScriptedEngine(ANSWER)
    assert show_to(make_services(engine), "anybody").status_code == 200
    assert engine.generations[0].cache_salt is None
    assert engine.generations[0].images[0].key not in (alice[1], bob[1])


@pytest.mark.parametrize(
    ("address", "tenant"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_whose_a_request_is_without_keys(address: str, tenant: str) -> None:
    """The client's address; of IPv6 the network, of which a client has all addresses."""
    scope = {"type": "http", "client": (address, 5), "headers": [], "path": "/"}
    assert tenant_of(Request(scope)) == tenant
