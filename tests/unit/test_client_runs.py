"""How runs of real clients are recorded and told, and that what is kept of them agrees."""

import json
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from conformance import client_environments, client_table
from conformance.client_environments import Client
from conformance.client_proxy import Exchange, RecordingProxy
from conformance.client_recording import (
    LONGEST_PROSE,
    RECORDED,
    TINY_PNG,
    Request,
    answer_ids,
    kept,
    shortened,
    with_named_ids_only,
)
from conformance.client_results import Checked, Result, read_results, unmet, without_lessons
from conformance.client_runs import run
from conformance.environment import ROOT

EVENTS = [b'data: {"n": 1}\n\n', b'data: {"n": 2}\n\n', b"data: [DONE]\n\n"]


class _Answers(BaseHTTPRequestHandler):
    """A server that sends a stream's second event only when it is told that the first has arrived."""

    protocol_version = "HTTP/1.1"
    go_on = threading.Event()

    def do_POST(self) -> None:
        """A stream of events."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number, event in enumerate(EVENTS):
            assert number == 0 or self.go_on.wait(timeout=30)
            self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def do_GET(self) -> None:
        """A refusal."""
        self.send_response(404)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_HEAD(self) -> None:
        """The length of what `GET` would bring."""
        self.send_response(200)
        self.send_header("content-length", "4711")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def proxy() -> Iterator[RecordingProxy]:
    """A proxy before such a server."""
    _Answers.go_on.clear()
    server = HTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    recording = RecordingProxy(f"http://127.0.0.1:{server.server_port}")
    yield recording
    recording.close()
    server.shutdown()
    server.server_close()
    thread.join()


def test_streams_pass_through_as_they_come(proxy: RecordingProxy) -> None:
    """The first event arrives while the server waits; afterwards all of it is kept, with the request."""
    with httpx.stream("POST", f"{proxy.url}/v1/x?a=b", json={"stream": True}, timeout=30) as response:
        pieces = response.iter_bytes()
        assert next(pieces) == EVENTS[0]
        _Answers.go_on.set()
        assert b"".join(pieces) == b"".join(EVENTS[1:])
    assert httpx.get(f"{proxy.url}/v1/none").status_code == 404
    assert proxy.taken() == [
        Exchange("POST", "/v1/x?a=b", {"stream": True}, 200, b"".join(EVENTS)),
        Exchange("GET", "/v1/none", None, 404, b"{}"),
    ]
    assert proxy.taken() == []


def test_a_head_tells_the_length(proxy: RecordingProxy) -> None:
    """Of a body that does not come."""
    assert httpx.head(f"{proxy.url}/v1/models", timeout=30).headers["content-length"] == "4711"


def test_what_is_under_way_is_waited_for(proxy: RecordingProxy) -> None:
    """A client may have read all before its exchange has ended, which still is its own."""
    with httpx.stream("POST", f"{proxy.url}/v1/x", json={}, timeout=30) as response:
        pieces = response.iter_bytes()
        assert next(pieces) == EVENTS[0]
        with ThreadPoolExecutor() as threads:
            taken = threads.submit(proxy.taken)
            _Answers.go_on.set()
            assert [one.answer for one in taken.result(timeout=30)] == [b"".join(EVENTS)]


def exchange(body: Any, status: int = 200, answer: bytes = b"{}", path: str = "/v1/responses") -> Exchange:
    return Exchange("POST", path, body, status, answer)


def test_one_request_of_a_kind_is_kept() -> None:
    """Texts make no other kind; roles, types, keys and statuses do. What got no answer is no request."""
    bodies: list[Any] = [
        {"input": "a"},
        {"input": "b"},
        {"input": [{"role": "user"}]},
        {"input": [{"role": "user"}, {"role": "user"}]},
        {"input": [{"role": "tool"}]},
    ]
    exchanges = [exchange(body) for body in bodies] + [exchange(bodies[0], 400), exchange({"x": 1}, 0)]
    found = kept("tools", exchanges)
    assert [(one.body, one.status) for one in found] == [
        (bodies[0], 200),
        (bodies[2], 200),
        (bodies[4], 200),
        (bodies[0], 400),
    ]
    assert {one.check for one in found} == {"tools"}


def test_bodies_are_shortened() -> None:
    """Images and prose are; names, schemas and arguments are kept, addresses and paths of ours are not."""
    image = "data:image/png;base64,iVBORw0KGgo" + "A" * 500
    arguments = json.dumps({"text": "x" * 500})
    body: Any = {
        "content": [{"url": image}, {"text": "word " * 100}],
        "pattern": "a" * 500,
        "arguments": arguments,
        "output": arguments,
        "url": "http://127.0.0.1:4711/v1",
        "file": f"{ROOT}/docs",
    }
    found: Any = shortened(body)
    assert found["content"][0]["url"] == f"data:image/png;base64,{TINY_PNG}"
    assert len(found["content"][1]["text"]) <= LONGEST_PROSE + 2
    assert {key: found[key] for key in ("pattern", "arguments", "output")} == {
        key: body[key] for key in ("pattern", "arguments", "output")
    }
    assert (found["url"], found["file"]) == ("http://server/v1", "/project/docs")


def test_ids_that_later_requests_name_are_kept() -> None:
    """Those of a response and of its items, streamed or whole; where no later request names one, none."""
    response = {"object": "response", "id": "resp_1", "output": [{"id": "fc_1", "call_id": "call_1"}]}
    whole = json.dumps(response).encode()
    streamed = b"event: x\ndata: " + json.dumps({"type": "x", "response": response}).encode() + b"\n\n"
    assert answer_ids(whole) == answer_ids(streamed) == ("resp_1", "fc_1", "call_1")
    assert answer_ids(b'{"object": "chat.completion", "id": "chatcmpl-1"}') == ()
    first = Request("tools", "POST", "/v1/responses", {}, 200, ("resp_1", "fc_1", "call_1"))
    second = Request("tools", "POST", "/v1/responses", {"previous_response_id": "resp_1"}, 200, ("resp_2",))
    assert [one.answer_ids for one in with_named_ids_only([first, second])] == [first.answer_ids, ()]
    assert [one.answer_ids for one in with_named_ids_only([second, first])] == [(), ()]


@pytest.mark.parametrize(
    ("check", "body", "reason"),
    [
        ("default", {}, None),
        ("picture", {"input": "data:image/png;base64,x"}, None),
        ("picture", {"input": "x"}, "no request had an image"),
        ("stream", {"stream": True}, None),
        ("stream", {"stream": False}, "no request was streamed"),
        ("tools", {"tools": [1]}, None),
        ("agent", {"tools": []}, "no request had tools"),
    ],
)
def test_a_check_must_have_asked_what_it_is_about(check: str, body: Any, reason: str | None) -> None:
    """A client that silently leaves the image, the stream or the tools out has shown nothing."""
    assert unmet(Checked(check, True, ""), [exchange(body)]) == reason
    assert unmet(Checked(check, True, ""), []) == "the server was not asked"
    assert unmet(Checked(check, None, ""), []) is None


def test_a_model_that_was_not_taught_shows_nothing() -> None:
    """Its wrong loop is no failure of the client's, unless a request was refused; a right one counts."""
    wrong, right = Checked("agent", False, "none"), Checked("agent", True, "fine")
    assert without_lessons(wrong, [exchange({})], taught=False).ok is None
    for checked, status, taught in (
        (wrong, 200, True),
        (wrong, 400, False),
        (right, 200, False),
        (Checked("tools", False, "none"), 200, False),
    ):
        assert without_lessons(checked, [exchange({}, status)], taught) == checked


TWO_CHECKS = """
import json, os, sys, urllib.request
for check in ("default", "stream"):
    body = json.dumps({"stream": check == "stream", "input": check}).encode()
    urllib.request.urlopen(urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/responses", body)).read()
    print(json.dumps({"check": check, "ok": True, "detail": os.environ.get("SECRET", "none")}), flush=True)
    print("something else")
    sys.stdin.readline()
sys.exit("no more")
"""


def test_a_client_is_run_to_its_end(
    proxy: RecordingProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lines become checks, the requests before each are that check's, and an early end is a failure with
    its last words; other lines are nobody's.
    """
    _Answers.go_on.set()
    monkeypatch.setenv("SECRET", "s")
    monkeypatch.setattr(client_environments, "CLIENTS", tmp_path / "clients")
    monkeypatch.setattr(client_environments, "ENVIRONMENTS", tmp_path / "environments")
    monkeypatch.setattr("conformance.client_recording.RECORDED", tmp_path / "recorded")
    monkeypatch.setattr("conformance.client_runs.version_of", lambda _: "1.0")
    client = Client("small", "Small", "small", "nothing")
    client.folder.mkdir(parents=True)
    (client.folder / "client.py").touch()
    client.run_folder.mkdir(parents=True)
    (client.run_folder / "client.py").write_text(TWO_CHECKS)
    (client.environment / "bin").mkdir()
    (client.environment / "bin" / "python").symlink_to(sys.executable)
    result = run(client, proxy, "m")
    assert [(one.check, one.ok, one.detail) for one in result.checks[:2]] == [
        ("default", True, "none"),
        ("stream", True, "none"),
    ]
    assert re.fullmatch(r"its process ended with 1 after \d+ s: no more", result.checks[2].detail)
    assert not result.green
    recorded = json.loads((tmp_path / "recorded" / "small.json").read_text())
    assert [(row["check"], row["body"]["input"]) for row in recorded["requests"]] == [
        ("default", "default"),
        ("stream", "stream"),
    ]


def test_the_table_has_a_sign_for_each_outcome() -> None:
    """Reasons of what did not pass are below it, other checks in a column of their own."""
    client = Client("small", "Small", "small", "tools", note="quiet")
    checks = (
        Checked("default", True, "fine"),
        Checked("picture", False, "refused"),
        Checked("stream", None, "has none"),
        Checked("audio", True, "fine"),
    )
    text = client_table.page([Result(client, "1.0", checks)])
    assert "| Small | 1.0 | ✓ | ✗ | — |  |  |  | audio ✓ | tools |\n" in text
    assert "\n- Small, picture ✗: refused\n- Small, stream —: has none\n" in text
    assert "\n- Small: quiet\n" in text


def test_the_page_and_the_recorded_requests_agree() -> None:
    """CLIENTS.md is what the kept results make; every client was run in the version that it pins, and of each
    check that works, and of no other client or check, there are requests to replay.
    """
    results = read_results()
    assert client_table.FILE.read_text(encoding="utf-8") == client_table.page(results)
    assert {file.stem for file in RECORDED.glob("*.json")} == {result.client.name for result in results}
    for result in results:
        recorded = json.loads((RECORDED / f"{result.client.name}.json").read_text(encoding="utf-8"))
        assert recorded["version"] == result.version
        assert result.version in result.client.pins.read_text(encoding="utf-8")
        replayed = {row["check"] for row in recorded["requests"]}
        assert replayed <= {checked.check for checked in result.checks}
        assert {checked.check for checked in result.checks if checked.ok} <= replayed, result.client.name


def test_what_must_be_green_is() -> None:
    """The clients that this project promises to serve."""
    red = [
        (result.client.name, checked.check)
        for result in read_results()
        if result.client.required
        for checked in result.checks
        if checked.ok is False
    ]
    assert red == []
