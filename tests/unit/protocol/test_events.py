"""How errors are written into a stream."""

import json

from phiserve.errors import InvalidRequest
from phiserve.protocol.events import error_response, event


def test_error_event() -> None:
    """An error in mid-stream has the envelope that an error response has."""
    written = event(error_response(InvalidRequest("wrong", param="p")))
    assert written.startswith(b"data: ")
    assert written.endswith(b"\n\n")
    assert json.loads(written.removeprefix(b"data: ")) == {
        "error": {
            "message": "p: wrong",
            "type": "invalid_request_error",
            "param": "p",
            "code": "invalid_value",
        }
    }
