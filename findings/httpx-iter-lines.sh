#!/usr/bin/env bash
# httpx 0.28.1: iter_lines() breaks a server-sent event in two at characters that end no line in that format.
#
# Guess: lines of a response end where those of server-sent events do, at LF, CR or both; requests' and
# httpx's iter_lines() therefore give the same lines, and a JSON text on one line arrives on one line.
# Seen: httpx decodes first and splits as Python's str.splitlines() does, so also at U+2028, U+2029, U+0085,
# form feed and others. JSON allows U+2028, U+2029 and U+0085 unescaped, and models write them: the event's
# JSON ends in the middle. requests splits the bytes, where none of these ends a line.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" httpx==0.28.1 requests==2.32.5
PYTHONPATH=$folder python3 - <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import requests

print("httpx", httpx.__version__, "requests", requests.__version__)
print("guess: both give one line for one event")
CHARACTERS = {"U+2028": "\u2028", "U+2029": "\u2029", "U+0085": "\u0085", "U+00A0": "\u00a0"}


class Events(BaseHTTPRequestHandler):
    """Sends one event, whose JSON holds the character of the path."""

    def do_GET(self) -> None:
        text = json.dumps({"text": f"a{CHARACTERS[self.path[1:]]}b"}, ensure_ascii=False)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.end_headers()
        self.wfile.write(f"data: {text}\n\n".encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Events)
threading.Thread(target=server.serve_forever, daemon=True).start()
seen = {}
for name in CHARACTERS:
    url = f"http://127.0.0.1:{server.server_port}/{name}"
    with httpx.stream("GET", url, trust_env=False) as response:
        by_httpx = sum(1 for line in response.iter_lines() if line)
    with requests.Session() as session:
        session.trust_env = False
        by_requests = sum(1 for line in session.get(url, stream=True).iter_lines() if line)
    seen[name] = by_httpx, by_requests
    print(f"seen: {name}: {by_httpx} lines by httpx, {by_requests} by requests")
server.shutdown()
expected = {"U+2028": (2, 1), "U+2029": (2, 1), "U+0085": (2, 1), "U+00A0": (1, 1)}
sys.exit("the behaviour has changed" if seen != expected else 0)
PYTHON
