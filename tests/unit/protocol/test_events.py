"""How errors are written into a stream."""

import json

from phiserve.errors import InvalidRequest
from phiserve.protocol.events import encode_json, error_response, event


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


def test_json_is_one_line_for_everybody() -> None:
    """Also for clients that split lines as Python does, at more characters than these events' format."""
    text = "".join(map(chr, range(0x3000)))
    written = encode_json({"content": text}).decode()
    assert len(written.splitlines()) == 1
    assert json.loads(written) == {"content": text}
    assert "\u00e9\u2013\u3000" in encode_json("\u00e9\u2013\u3000").decode()
