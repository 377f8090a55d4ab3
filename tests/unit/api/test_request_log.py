"""Every request ends in one line of the log and in one count, however it ends."""

import asyncio
import json
import os
import select
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from images import encode, image_part, noise, text_part
from key_files import bearer, secret_of, write_keys
from phiserve.api.app import create_app
from phiserve.api.request_log import OTHER_ROUTE
from phiserve.api.services import Services
from phiserve.api.shutdown import Shutdown
from phiserve.errors import EngineFailure, Overloaded
from scripted import ScriptedEngine, Step, delta
from wire import ANSWER, BODY, call, post

MakeServices = Callable[..., Services]
ENGINE_ERROR = EngineFailure.default_code
CHAT = "/v1/chat/completions"
PRIVATE_TEXT = "What only the user may know"
UNKNOWN = "/nowhere/What-only"


class Written:
    """What has been written to standard output in this test."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    @property
    def text(self) -> str:
        """All of it."""
        self._text += self._capsys.readouterr().out
        return self._text

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its lines, parsed."""
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def stdout(capsys: pytest.CaptureFixture[str]) -> Written:
    """Standard output."""
    return Written(capsys)


def count(route: str, outcome: str) -> float:
    """How many requests ended in this way."""
    labels = {"route": route, "outcome": outcome}
    return REGISTRY.get_sample_value("phiserve_requests_total", labels) or 0.0


def with_image(**fields: object) -> dict[str, Any]:
    """A body that shows an image."""
    content = [image_part(encode(noise(30, 20))), text_part(PRIVATE_TEXT)]
    return BODY | {"messages": [{"role": "user", "content": content}]} | fields


@pytest.mark.parametrize("stream", [False, True])
def test_answered(make_services: MakeServices, tmp_path: Path, stdout: Written, stream: bool) -> None:
    """Whose request it was, its tokens by kind, its images and its times, in the order in which they came."""
    before = count(CHAT, "ok")
    services = make_services(ScriptedEngine(ANSWER), keys_file=write_keys(tmp_path / "k", alice={}))
    headers = bearer("alice") | {"x-request-id": "abc-1"}
    assert post(services, with_image(stream=stream), headers=headers).status_code == 200
    (line,) = stdout.lines
    assert (line["event"], line["id"], line["owner"]) == ("request", "abc-1", "alice")
    assert (line["route"], line["method"], line["status"], line["outcome"]) == (CHAT, "POST", 200, "ok")
    assert (line["stream"], line["images"]) == (stream, 1)
    assert (line["completion_tokens"], line["cached_tokens"]) == (3, 0)
    assert 0 < line["image_tokens"] < line["prompt_tokens"]
    times = [line[name] for name in ("queued_s", "first_token_s", "total_s") if name in line]
    assert times == sorted(times)
    assert ("first_token_s" in line) is stream
    assert count(CHAT, "ok") == before + 1


def test_the_id_is_the_one_that_the_client_got(make_services: MakeServices, stdout: Written) -> None:
    """Also where the server has made it; without keys a request has no owner."""
    response = post(make_services(ScriptedEngine(ANSWER)))
    (line,) = stdout.lines
    assert line["id"] == response.headers["x-request-id"]
    assert "owner" not in line


@pytest.mark.parametrize(
    ("engine", "fields", "status", "outcome"),
    [
        (ScriptedEngine(), {"temperature": "hot"}, 400, "invalid_type"),
        (ScriptedEngine(), {"model": "another"}, 404, "model_not_found"),
        (ScriptedEngine(refuse=Overloaded("full")), {}, 429, Overloaded.default_code),
        (ScriptedEngine([EngineFailure("no")]), {}, 500, ENGINE_ERROR),
        (ScriptedEngine([EngineFailure("no")]), {"stream": True}, 500, ENGINE_ERROR),
        (
            ScriptedEngine([*ANSWER[:1], EngineFailure("no")]),
            {"stream": True},
            200,
            ENGINE_ERROR,
        ),
        (ScriptedEngine([ZeroDivisionError()]), {}, 500, "internal_error"),
        (ScriptedEngine([*ANSWER[:1], ZeroDivisionError()]), {"stream": True}, 200, "internal_error"),
    ],
)
def test_failed(
    make_services: MakeServices,
    stdout: Written,
    engine: ScriptedEngine,
    fields: dict[str, Any],
    status: int,
    outcome: str,
) -> None:
    """The error's code, also of a stream that had begun with status 200."""
    before = count(CHAT, outcome)
    assert post(make_services(engine), **fields).status_code == status
    (line,) = stdout.lines
    assert (line["status"], line["outcome"]) == (status, outcome)
    assert count(CHAT, outcome) == before + 1


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", CHAT, CHAT),
        ("GET", "/metrics", "/metrics"),
        ("GET", "/v1/models/What-only", "/v1/models/{model_id:path}"),
        ("POST", "/v1/responses/What-only/cancel", "/v1/responses/{response_id}/cancel"),
        ("GET", UNKNOWN, OTHER_ROUTE),
    ],
)
def test_without_a_key(
    make_services: MakeServices, stdout: Written, method: str, path: str, route: str
) -> None:
    """Logged and counted under the route, of which there are no more than the server has."""
    before = count(route, "invalid_api_key")
    services = make_services(ScriptedEngine(), api_key="k")
    assert call(services, method, path, headers={"authorization": "Bearer What-only"}).status_code == 401
    (line,) = stdout.lines
    assert (line["route"], line["status"], line["outcome"]) == (route, 401, "invalid_api_key")
    assert count(route, "invalid_api_key") == before + 1
    assert "What-only" not in stdout.text


def test_beyond_a_keys_limit(make_services: MakeServices, tmp_path: Path, stdout: Written) -> None:
    """The line names the owner, though the request was refused before its body was read."""
    file = write_keys(tmp_path / "k", alice={"requests_per_minute": 1})
    services = make_services(ScriptedEngine(ANSWER), keys_file=file)
    statuses = [post(services, headers=bearer("alice")).status_code for _ in range(2)]
    assert statuses == [200, 429]
    assert [(line["owner"], line["status"]) for line in stdout.lines] == [("alice", 200), ("alice", 429)]
    assert stdout.lines[1]["outcome"] == "rate_limit_exceeded"


async def abandon(services: Services, stop: str, *, stream: bool, begun: bool) -> None:
    """A request whose client hangs up, or which the ending server cancels, while the engine works."""
    reached, gone = asyncio.Event(), asyncio.Event()
    body = iter([{"type": "http.request", "body": json.dumps(BODY | {"stream": stream}).encode()}])
    steps: list[Step] = [delta("a", ids=[5])] if begun else []

    async def forever() -> None:
        reached.set()
        await asyncio.Event().wait()

    services.engine.steps = [*steps, forever]  # type: ignore[attr-defined]

    async def receive() -> Any:
        if (message := next(body, None)) is not None:
            return message
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        """What is answered goes nowhere."""

    shutdown = Shutdown()
    scope = {"type": "http", "method": "POST", "path": CHAT, "query_string": b"", "http_version": "1.1"}
    scope |= {"headers": [], "scheme": "http", "server": ("t", 80), "client": ("c", 1)}
    answering = asyncio.create_task(create_app(services, shutdown)(scope, receive, send))
    await asyncio.wait_for(reached.wait(), 10)
    if stop == "client_gone":
        gone.set()
    else:
        shutdown.finish()
        answering.cancel()
    await asyncio.wait({answering}, timeout=10)
    assert answering.done()


@pytest.mark.parametrize("stop", ["client_gone", "cancelled"])
@pytest.mark.parametrize(("stream", "begun"), [(False, False), (True, False), (True, True)])
def test_not_answered_to_the_end(
    make_services: MakeServices, stdout: Written, stop: str, stream: bool, begun: bool
) -> None:
    """A client that hangs up and a server that ends are told apart; what the engine did until then counts."""
    before = count(CHAT, stop)
    asyncio.run(abandon(make_services(ScriptedEngine()), stop, stream=stream, begun=begun))
    (line,) = stdout.lines
    assert (line["outcome"], line["completion_tokens"]) == (stop, 1 if begun else 0)
    assert ("first_token_s" in line) is begun
    assert count(CHAT, stop) == before + 1


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_nothing_private(
    make_services: MakeServices, tmp_path: Path, stdout: Written, log_format: str
) -> None:
    """No content, no URL, no key, whether a request was answered or refused by an error that names them."""
    file = write_keys(tmp_path / "k", alice={})
    engine = ScriptedEngine([delta("Secret answer", ids=[5], finish="stop")])
    services = make_services(engine, keys_file=file, log_requests=log_format)
    url_part = {"type": "image_url", "image_url": {"url": "https://private.example/a.png"}}
    with_url = [{"role": "user", "content": [url_part]}]
    for body in (
        with_image(),
        with_image(stream=True),
        BODY | {"messages": with_url},
        BODY | {"model": "Secret"},
    ):
        post(services, body, headers=bearer("alice"))
    post(services, path=f"{CHAT}?api_key=Secret-query", headers=bearer("alice"))
    call(services, "GET", UNKNOWN, headers=bearer("alice"))
    call(services, "GET", CHAT, headers={"authorization": "Bearer Secret-wrong", "cookie": "Secret"})
    text = stdout.text
    assert text.count("\n") == 7
    for private in (
        "Secret",
        PRIVATE_TEXT,
        "private.example",
        "base64",
        "nowhere",
        secret_of("alice"),
        "\x1b",
    ):
        assert private not in text


def test_health_checks_are_silent(make_services: MakeServices, stdout: Written) -> None:
    """While all is well: they come every few seconds. They are counted, and a bad answer is logged."""
    before = count("/ready", "ok")
    assert call(make_services(ScriptedEngine()), "HEAD", "/ready").status_code == 200
    assert stdout.lines == []
    assert count("/ready", "ok") == before + 1
    assert call(make_services(ScriptedEngine(alive=False)), "GET", "/ready").status_code == 503
    (line,) = stdout.lines
    assert (line["route"], line["status"]) == ("/ready", 503)


def test_a_preflight_that_is_refused(make_services: MakeServices, stdout: Written) -> None:
    """It is no success, though it has no error of ours."""
    services = make_services(ScriptedEngine(), cors_origins=["https://page.example"])
    headers = {"origin": "https://other.example", "access-control-request-method": "POST"}
    assert call(services, "OPTIONS", CHAT, headers=headers).status_code == 400
    assert stdout.lines[0]["outcome"] == "refused"


def test_off(make_services: MakeServices, stdout: Written) -> None:
    """Nothing is written; requests are counted all the same."""
    before = count(CHAT, "ok")
    assert post(make_services(ScriptedEngine(ANSWER), log_requests=False)).status_code == 200
    assert stdout.text == ""
    assert count(CHAT, "ok") == before + 1


def test_a_log_that_nobody_reads(make_services: MakeServices, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are left out and counted where the pipe is full: a stopped reader does not stop the server."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    while select.select([], [writing], [], 0)[1]:
        os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    with open(writing, "w") as stdout, open(reading, "rb", buffering=0) as reader:
        monkeypatch.setattr(sys, "stdout", stdout)
        services = make_services(ScriptedEngine(ANSWER))
        before = REGISTRY.get_sample_value("phiserve_log_lines_lost_total") or 0.0
        assert post(services).status_code == 200
        assert REGISTRY.get_sample_value("phiserve_log_lines_lost_total") == before + 1
        while select.select([reader], [], [], 0)[0]:
            reader.read(65536)
        assert post(services).status_code == 200
        assert json.loads(reader.read(65536))["outcome"] == "ok"


def test_a_log_that_is_closed(make_services: MakeServices, monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs no request its answer."""
    reading, writing = os.pipe()
    os.close(reading)
    stdout = open(writing, "w")  # noqa: SIM115  closing it fails, as the test wants it
    monkeypatch.setattr(sys, "stdout", stdout)
    assert post(make_services(ScriptedEngine(ANSWER))).status_code == 200
    with pytest.raises(BrokenPipeError):
        stdout.close()
