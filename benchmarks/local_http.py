"""Single requests to a server on this machine, past any proxy."""

import http.client
from urllib.parse import urlsplit


def ask(
    url: str, method: str, path: str, body: bytes | None = None, timeout_s: float = 60, key: str = ""
) -> tuple[int, bytes]:
    """Status and content; the key is sent where there is one. Raises OSError or HTTPException."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_s)
    try:
        headers = {"Content-Type": "application/json"} if body else {}
        headers |= {"Authorization": f"Bearer {key}"} if key else {}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
