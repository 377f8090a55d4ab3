"""Takes files apart as `hostile_codecs` does, but for files that begin with words from here.

What follows `leak` and `slow` is an image, which is taken apart afterwards.
"""

import gc
import socket
import time
from collections.abc import Callable, Collection

import numpy as np

import hostile_codecs
from phiserve.codecs import ParsedImage

LEAK_BYTES = 150 * 2**20
SLOW_S = 2.0

_leaked: list[object] = []


def leak() -> None:
    """Hold on to memory."""
    _leaked.append(np.ones(LEAK_BYTES, np.uint8))


def slow() -> None:
    """Take processor time."""
    end = time.process_time() + SLOW_S
    while time.process_time() < end:
        pass


def babble(message: bytes) -> None:
    """Say something over the worker's channel in place of a reply."""
    channels = [
        thing for thing in gc.get_objects() if isinstance(thing, socket.socket) and thing.fileno() >= 0
    ]
    for channel in channels:
        channel.send(message)
    time.sleep(3600)


GARBAGE = {
    b"garbage": b"garbage",
    b"ready": b"\x81\xa4type\xa5Ready",
    b"text": b"\x83\xa4type\xa7Refused\xa6reason\xa2\xff\xfe\xa4code\xc0",
    b"deep": b"\x82\xa4type\xa5Fault\xa1x" + b"\x91" * 60_000,
}
"""Files -> what their worker says instead: nonsense, what was not asked, no text, endless nesting."""

ODD: dict[bytes, Callable[[], None]] = {b"leak": leak, b"slow": slow}


def parse(content: bytes, formats: Collection[str]) -> ParsedImage:
    """As `codecs.parse`."""
    if message := GARBAGE.get(content):
        babble(message)
    if odd := ODD.get(content[:4]):
        odd()
        content = content[4:]
    return hostile_codecs.parse(content, formats)
