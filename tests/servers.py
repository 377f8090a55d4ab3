"""Servers for the command line's tests: one that answers as OpenAI's, and others that have no business at
their port.
"""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(
    not _has_ipv6(), reason="IPv6 is switched off on this machine: nothing can be bound to ::1"
)
MODELS = json.dumps(
    {"object": "list", "data": [{"id": "m", "object": "model", "created": 0, "owned_by": ""}]}
).encode()
Reply = tuple[int, str, bytes]
"""Status, media type and body."""


def events(*pieces: str, finish: str | None = "stop") -> Reply:
    """An answer in pieces, as a stream."""
    deltas: list[dict[str, Any]] = [{"delta": {"content": piece}, "finish_reason": None} for piece in pieces]
    deltas += [{"delta": {}, "finish_reason": finish}] if finish else []
    chunks = [
        {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [d]}
        for d in deltas
    ]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    return 200, "text/event-stream", body.encode()


def refusal(status: int, message: str) -> Reply:
    """An error as OpenAI words it."""
    return (
        status,
        "application/json",
        json.dumps({"error": {"message": message, "type": "x", "param": None, "code": None}}).encode(),
    )


@dataclass
class WebServer:
    """Answers GET with `get`, and each POST with the next of `posts`, the last one again and again; remembers
    what came.
    """

    get: Reply = (200, "application/json", MODELS)
    posts: Sequence[Reply] = field(default_factory=lambda: [events("Hello", " you")])
    url: str = ""
    paths: list[str] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, path: str, body: bytes) -> Reply:
        """What to answer to a request; `body` is empty with GET."""
        self.paths.append(path)
        if not body:
            return self.get
        self.requests.append(json.loads(body))
        return self.posts[min(len(self.requests), len(self.posts)) - 1]


@contextmanager
def web_server(server: WebServer) -> Iterator[WebServer]:
    """Serve on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            status, media_type, content = server.answer(self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.end_headers()
            with suppress(ConnectionError):  # a client that has gone
                self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        server.url = f"http://127.0.0.1:{web.server_port}/v1"
        yield server
        web.shutdown()


Behaviour = Callable[[socket.socket, threading.Event], None]
"""What is done with a connection, until the event."""


def never_answer(connection: socket.socket, over: threading.Event) -> None:
    """Accept, and that is all."""
    over.wait()


def close_at_once(connection: socket.socket, over: threading.Event) -> None:
    """Accept and hang up."""


def trickle(connection: socket.socket, over: threading.Event) -> None:
    """Always about to answer: a byte before any timeout for a single one."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Padding: ")
    while not over.wait(0.2):
        connection.sendall(b"x")


def speak_no_http(connection: socket.socket, over: threading.Event) -> None:
    """Greet as a mail server does."""
    connection.sendall(b"220 mail.example ESMTP\r\n")
    connection.recv(1000)


def speak_tls(connection: socket.socket, over: threading.Event) -> None:
    """Expect a handshake."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).wrap_socket(connection, server_side=True)


@contextmanager
def tcp_server(behaviour: Behaviour) -> Iterator[str]:
    """Its URL; every connection is treated alike, on a thread of its own."""
    over = threading.Event()

    def treat(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            behaviour(connection, over)

    def accept() -> None:
        with suppress(OSError):  # closed below
            while True:
                threading.Thread(target=treat, args=[listener.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
