"""Single requests to a server on this machine, past any proxy."""

import http.client
from urllib.parse import urlsplit


def ask(
    url: str, method: str, path: str, body: bytes | None = None, timeout_s: float = 60
) -> tuple[int, bytes]:
    """Status and content. Raises OSError or HTTPException."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_s)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
