"""Models, health, readiness, metrics, versions."""

from collections.abc import Callable

from phiserve.api.services import Services
from scripted import ScriptedEngine
from wire import call

MakeServices = Callable[..., Services]


def test_models(make_services: MakeServices) -> None:
    """The list, the one model, and 404 for others; names may hold slashes."""
    services = make_services(ScriptedEngine())
    listed = call(services, "GET", "/v1/models").json()
    assert (listed["object"], [card["id"] for card in listed["data"]]) == ("list", ["m"])
    assert call(services, "GET", "/v1/models/m").json() == listed["data"][0]
    missing = call(services, "GET", "/v1/models/owner/name")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


def test_models_of_several_names(make_services: MakeServices) -> None:
    """Each name is listed and served, with all else alike, and has a HEAD of the same length."""
    services = make_services(ScriptedEngine(), served_model_name="gpt-4o, owner/name")
    listed = call(services, "GET", "/v1/models").json()["data"]
    assert [card["id"] for card in listed] == ["m", "gpt-4o", "owner/name"]
    assert [card | {"id": "m"} for card in listed] == [listed[0]] * 3
    for card in listed:
        assert call(services, "GET", f"/v1/models/{card['id']}").json() == card
    for path in ("/v1/models", "/v1/models/gpt-4o", "/v1/models/owner/name"):
        head, get = call(services, "HEAD", path), call(services, "GET", path)
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) == len(get.content)


def test_health_and_readiness(make_services: MakeServices) -> None:
    """A dead engine leaves the process alive but not ready."""
    alive, dead = make_services(ScriptedEngine()), make_services(ScriptedEngine(alive=False))
    assert [call(s, "GET", "/health").status_code for s in (alive, dead)] == [200, 200]
    assert [call(s, "GET", "/ready").status_code for s in (alive, dead)] == [200, 503]
    assert call(dead, "GET", "/ready").json()["error"]["code"] == "engine_unavailable"


def test_metrics_and_version(make_services: MakeServices) -> None:
    """Prometheus text and versions."""
    services = make_services(ScriptedEngine())
    assert call(services, "GET", "/metrics").text == "x 1\n"
    assert call(services, "GET", "/version").json() == {"phiserve": "0"}


def test_what_becomes_of_every_field(make_services: MakeServices) -> None:
    """Of all routes, as plain data; and all that is refused in one list."""
    shown = call(make_services(ScriptedEngine()), "GET", "/v1/compatibility").json()
    assert shown.keys() == {"openai", "extra", "completions", "responses", "responses_extra", "refused"}
    assert shown["completions"]["suffix"]["support"] == "refused"
    tool = next(one for one in shown["refused"] if "web_search" in one["names"])
    assert tool["place"] == "tool of responses"
    assert "describe a function" in tool["reason"]
