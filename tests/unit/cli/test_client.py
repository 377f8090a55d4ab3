"""The client for an address, and a sentence for everything that can be there instead of a server."""

import socket
import time

import pytest

from phiserve.cli import client
from phiserve.cli.client import NothingListens, client_for, served_models
from phiserve.errors import StartupError
from servers import (
    Behaviour,
    WebServer,
    close_at_once,
    needs_ipv6,
    never_answer,
    speak_no_http,
    speak_tls,
    tcp_server,
    trickle,
    web_server,
)

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


def look(url: str) -> list[str]:
    """As the commands do first."""
    with client_for(url) as made:
        return served_models(made)


def test_a_server() -> None:
    """Its models; scheme and path may be left out, as people do."""
    with web_server(WebServer()) as server:
        for url in (
            server.url,
            f"{server.url}/",
            server.url.removesuffix("/v1"),
            server.url.removeprefix("http://"),
        ):
            assert look(url) == ["m"]
    assert set(server.paths) == {"/v1/models"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "0.0.0.0"])  # noqa: S104 - asked, not bound
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9", "nonsense://", "http://[::"])
def test_no_proxy_on_the_way_to_this_machine(host: str, proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says, and even if a proxy that it names could not be used at all."""
    for name in PROXIES:
        monkeypatch.setenv(name, proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with web_server(WebServer()) as server:
        assert look(server.url.replace("127.0.0.1", host)) == ["m"]


@needs_ipv6
def test_no_proxy_on_the_way_to_this_machine_by_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens: a proxy would have said something else."""
    with web_server(WebServer(get=(200, "text/html", b"I am the proxy"))) as proxy:
        for name in PROXIES:
            monkeypatch.setenv(name, proxy.url)
        for url in ("http://[::1]:9/v1", "https://[::1]:9/v1", "http://[::ffff:127.0.0.1]:9/v1"):
            with pytest.raises(NothingListens):
                look(url)
    assert proxy.paths == []


def test_proxies_on_the_way_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are used, and one that can't be is told."""
    with web_server(WebServer()) as proxy:
        for name in PROXIES:
            monkeypatch.setenv(name, proxy.url)
        assert look("http://server.example/v1") == ["m"]
    assert proxy.paths == ["http://server.example/v1/models"]
    for name in PROXIES:
        monkeypatch.setenv(name, "nonsense://proxy")
    with pytest.raises(StartupError, match="proxies or certificates cannot be used"):
        look("http://server.example/v1")


@pytest.mark.parametrize(
    ("status", "media_type", "body", "said"),
    [
        (401, "application/json", b"{}", "set PHISERVE_API_KEY"),
        (404, "application/json", b"{}", "not an OpenAI-compatible server"),
        (502, "text/html", b"<html>Bad gateway</html>", "not an OpenAI-compatible server"),
        (200, "application/json", b'{"data": []}', "not an OpenAI-compatible server"),
        (200, "application/json", b'{"data": null}', "not an OpenAI-compatible server"),
        (200, "application/json", b'{"data": [{"id": 5}, {}, "x"]}', "not an OpenAI-compatible server"),
        (200, "application/json", b"<html>hello</html>", "not an OpenAI-compatible server"),
        (200, "application/json", b"[]", "not an OpenAI-compatible server"),
        (200, "application/json", b"\xff\xfe", "not an OpenAI-compatible server"),
        (200, "text/html", b"<html>hello</html>", "not an OpenAI-compatible server"),
        (200, "text/plain", b"", "not an OpenAI-compatible server"),
    ],
)
def test_other_web_servers(status: int, media_type: str, body: bytes, said: str) -> None:
    """What answers is something else."""
    with (
        web_server(WebServer(get=(status, media_type, body))) as server,
        pytest.raises(StartupError, match=said) as raised,
    ):
        look(server.url)
    assert not isinstance(raised.value, NothingListens)


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (never_answer, "does not answer within 0.7 s"),
        (trickle, "does not answer within 0.7 s"),
        (close_at_once, "not an OpenAI-compatible server"),
        (speak_no_http, "not an OpenAI-compatible server"),
        (speak_tls, "not an OpenAI-compatible server"),
    ],
)
def test_servers_of_other_kinds(behaviour: Behaviour, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence within the time allowed."""
    monkeypatch.setattr(client, "LOOK_TIMEOUT_S", 0.7)
    began = time.monotonic()
    with tcp_server(behaviour) as url, pytest.raises(StartupError, match=said) as raised:
        look(url)
    assert not isinstance(raised.value, NothingListens)
    assert time.monotonic() - began < 10


def test_tls_where_there_is_none() -> None:
    """The sentence says that this is what went wrong."""
    with (
        web_server(WebServer()) as server,
        pytest.raises(StartupError, match="does not speak TLS as it should"),
    ):
        look(server.url.replace("http:", "https:"))


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens; no such host."""
    with pytest.raises(NothingListens, match=r"No server answers at http://127\.0\.0\.1:9/v1"):
        look("http://127.0.0.1:9")

    def unknown(*arguments: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(StartupError, match=r"There is no host as in http://server\.example/v1"):
        look("http://server.example/v1")


@pytest.mark.parametrize(
    "url",
    ["", "http://", "ftp://x/v1", "http://x:99999/v1", "http://x y/v1", "http://[::/v1", "http://\udcff/"],
)
def test_no_addresses(url: str) -> None:
    """Told before anything is asked."""
    with pytest.raises(StartupError, match="is not the address of a server"):
        client_for(url)


def test_a_key_that_no_header_can_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told by the variable's name."""
    monkeypatch.setenv("PHISERVE_API_KEY", "schlüssel")
    with pytest.raises(StartupError, match="PHISERVE_API_KEY"):
        client_for("http://127.0.0.1:9/v1")
