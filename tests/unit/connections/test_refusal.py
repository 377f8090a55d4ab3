"""Errors that no application writes."""

import http.client
import io
import json
from unittest.mock import Mock

from phiserve.connections.refusal import refusal
from phiserve.errors import ServerBusy


def test_a_refusal_is_a_whole_response() -> None:
    """As a client's parser reads it: status, headers of the error, OpenAI's envelope."""
    data = refusal(ServerBusy("full"), "req_1")
    response = http.client.HTTPResponse(Mock(makefile=lambda mode: io.BytesIO(data)))
    response.begin()
    assert (response.status, response.reason) == (503, "Service Unavailable")
    assert (response.getheader("retry-after"), response.getheader("connection")) == ("1", "close")
    assert response.getheader("x-request-id") == "req_1"
    assert json.loads(response.read()) == {
        "error": {"message": "full", "type": "server_error", "param": None, "code": "server_busy"}
    }
