"""Payloads and errors as HTTP responses."""

import json

from phiserve.api.json_response import error_to_response, json_response
from phiserve.errors import Overloaded
from phiserve.protocol.models import ModelList


def test_a_payload() -> None:
    """200, as JSON."""
    response = json_response(ModelList([]))
    assert (response.status_code, response.media_type) == (200, "application/json")
    assert json.loads(bytes(response.body)) == {"data": [], "object": "list"}


def test_an_error() -> None:
    """Its own status and headers, in OpenAI's envelope."""
    response = error_to_response(Overloaded("full", retry_after_s=7))
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert json.loads(bytes(response.body)) == {
        "error": {"message": "full", "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"}
    }
