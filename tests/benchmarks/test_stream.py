"""Events are counted as they arrive, wherever the bytes are split."""

import pytest

from benchmarks.stream import StreamReader

ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
FIRST = b'data: {"choices":[{"index":0,"delta":{"content":"say \\"content\\": \\"role\\": x"}}]}\n\n'
SECOND = b'data: {"choices":[{"index":0,"delta":{"content":""}}]}\n\n'
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"
STREAM = ROLE + FIRST + SECOND + FINISH + USAGE + DONE


@pytest.mark.parametrize("size", [1, 7, 50, len(STREAM)])
def test_any_split_gives_the_same(size: int) -> None:
    """Two events with content (one held back, its text empty), two tokens by the server's own count, and an
    end.
    """
    reader = StreamReader()
    for start in range(0, len(STREAM), size):
        reader.feed(STREAM[start : start + size], float(start))
    assert (len(reader.arrivals_s), reader.tokens, reader.done, reader.failed) == (2, 2, True, False)


def test_arrivals_are_when_the_event_is_complete() -> None:
    reader = StreamReader()
    reader.feed(ROLE + FIRST[:-1], 1.0)
    reader.feed(FIRST[-1:] + SECOND, 2.0)
    assert reader.arrivals_s == [2.0, 2.0]


def test_an_error_in_mid_stream() -> None:
    reader = StreamReader()
    reader.feed(ROLE + b'data: {"error":{"message":"no"}}\n\n' + DONE, 0.0)
    assert (reader.failed, reader.done, reader.tokens) == (True, True, 0)
