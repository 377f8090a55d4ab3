"""What is asked in the soak: bodies of many kinds, drawn by chance, with what may become of each."""

import base64
import io
import json
import random
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.images import draw, redrawn
from benchmarks.workloads import MODEL, text

BUSY = frozenset({429, 503, 504})
"""Statuses that a request may always get: there is too much to do, or no engine just then."""

GOOD = frozenset({200, 500}) | BUSY
"""500 where the engine ended twice over a request; its code says so, and any other is a violation."""

BAD_IMAGE = frozenset({400, 413}) | BUSY
_SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green", "blue"]}, "count": {"type": "integer", "maximum": 99}},
    "required": ["colour", "count"],
    "additionalProperties": False,
}
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: its kind, where it goes, its body as JSON has it, and the statuses that it may get."""

    kind: str
    body: dict[str, Any]
    expected: frozenset[int] = GOOD
    path: str = "/v1/chat/completions"

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        return json.dumps(self.body).encode()

    @property
    def streams(self) -> bool:
        """Whether events are to come."""
        return bool(self.body.get("stream"))


def short_text(chance: random.Random) -> Asked:
    """A sentence, answered whole."""
    return Asked("text", _chat(_words(chance, 8), max_tokens=24))


def stream(chance: random.Random) -> Asked:
    """A paragraph, answered as it arises."""
    return Asked("stream", _chat(_words(chance, 60), max_tokens=200) | _STREAMED)


def long_prompt(chance: random.Random) -> Asked:
    """Some 1,500 tokens, answered as it arises."""
    return Asked("long prompt", _chat(_words(chance, 1100), max_tokens=64) | _STREAMED)


def one_image(chance: random.Random) -> Asked:
    """An image of any format that nobody has sent before."""
    body = _chat([_shown(fresh_image(chance)), _question(chance)], max_tokens=32)
    return Asked("image", body | (_STREAMED if chance.random() < 0.5 else {}))


def photo(chance: random.Random) -> Asked:
    """12 megapixels."""
    content = redrawn(draw_once("12 MP"), chance.randrange(62_000))
    return Asked("photo", _chat([_shown(content), _question(chance)], max_tokens=16))


def same_image(chance: random.Random) -> Asked:
    """One of three photos that everybody shows."""
    content = redrawn(draw_once("1 MP"), chance.randrange(3))
    return Asked("same image", _chat([_shown(content), _question(chance)], max_tokens=16))


def images(chance: random.Random) -> Asked:
    """Two to four images."""
    shown = [_shown(fresh_image(chance)) for _ in range(chance.randrange(2, 5))]
    return Asked("images", _chat([*shown, _question(chance)], max_tokens=32))


def choices(chance: random.Random) -> Asked:
    """Several answers to one question, with all that sampling knows."""
    options = {"n": chance.randrange(2, 9), "temperature": 1.0, "seed": chance.randrange(2**31), "top_p": 0.9}
    options |= {"presence_penalty": 0.5, "frequency_penalty": 0.5, "ignore_eos": True}
    streamed = _STREAMED if chance.random() < 0.5 else {}
    return Asked("n > 1", _chat(_words(chance, 20), max_tokens=48) | options | streamed)


def log_probabilities(chance: random.Random) -> Asked:
    """With the five best candidates of each token."""
    streamed = _STREAMED if chance.random() < 0.5 else {}
    options = {"logprobs": True, "top_logprobs": 5}
    return Asked("logprobs", _chat(_words(chance, 20), max_tokens=48) | options | streamed)


def schema(chance: random.Random) -> Asked:
    """An answer in JSON, as a schema has it."""
    wanted = {"type": "json_schema", "json_schema": {"name": "seen", "schema": _SCHEMA, "strict": True}}
    return Asked("JSON schema", _chat(_words(chance, 20), max_tokens=120) | {"response_format": wanted})


def tokenize(chance: random.Random) -> Asked:
    """Only counted."""
    body = {"model": MODEL, "messages": _chat(_words(chance, 200), max_tokens=1)["messages"]}
    return Asked("/tokenize", body, path="/tokenize")


def hostile(chance: random.Random) -> Asked:
    """An image that cannot be shown: damaged, cut off, or none."""
    make = chance.choice(HOSTILE)
    body = _chat([_shown(make(chance)), _question(chance)], max_tokens=16)
    return Asked("hostile image", body, BAD_IMAGE)


def huge(chance: random.Random) -> Asked:
    """As many pixels as are allowed, at 16 bits: 384 MB in half a megabyte. It is shown, or refused."""
    body = _chat([_shown(huge_png()), _question(chance)], max_tokens=8)
    return Asked("huge image", body, GOOD | BAD_IMAGE)


def mistaken(chance: random.Random) -> Asked:
    """A body with a mistake."""
    good = _chat(_words(chance, 8), max_tokens=8)
    wrong: tuple[dict[str, Any], ...] = ({"messages": []}, {"temperature": 9}, {"max_tokens": -1}, {"x": 1})
    return Asked("mistaken body", good | chance.choice(wrong), frozenset({400}) | BUSY)


WEIGHTS: Mapping[Callable[[random.Random], Asked], int] = {
    short_text: 20,
    stream: 20,
    long_prompt: 5,
    one_image: 14,
    photo: 3,
    same_image: 6,
    images: 4,
    choices: 6,
    log_probabilities: 6,
    schema: 6,
    tokenize: 6,
    hostile: 8,
    huge: 1,
    mistaken: 3,
}
"""How often each kind is drawn."""


def drawn(chance: random.Random) -> Asked:
    """A request of any kind."""
    (make,) = chance.choices([*WEIGHTS], [*WEIGHTS.values()])
    return make(chance)


def crowd(chance: random.Random) -> Asked:
    """Sixteen answers at once: two dozen of these are more than the engine has room for."""
    return Asked("crowd", _chat(_words(chance, 8), max_tokens=64) | {"n": 16, "ignore_eos": True})


def endless(chance: random.Random) -> Asked:
    """A stream of some megabytes, for clients that read little of it."""
    options = {"n": 8, "logprobs": True, "top_logprobs": 20, "ignore_eos": True}
    return Asked("endless", _chat(_words(chance, 8), max_tokens=400) | options | _STREAMED)


def fresh_image(chance: random.Random) -> bytes:
    """A file of any format, of some size between 40 and 640 pixels, that was never sent before."""
    width, height = chance.randrange(40, 640), chance.randrange(40, 640)
    noise = np.random.default_rng(chance.randrange(2**32)).integers(0, 256, (5, 5, 3), np.uint8)
    image = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
    image = image.convert(chance.choice(("RGB", "L", "P")))
    kind = chance.choice(_FORMATS)
    if kind in ("JPEG", "WEBP"):
        image = image.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def draw_all() -> None:
    """Draw what is drawn once, so that no request waits for it."""
    huge_png()
    for kind in ("small PNG", "1 MP", "12 MP"):
        draw_once(kind)


@cache
def draw_once(kind: str) -> bytes:
    """A photo of `benchmarks.images`, drawn when it is first needed."""
    return draw(kind, 0)


@cache
def huge_png() -> bytes:
    """8000x8000 black pixels at 16 bits, made a row at a time."""
    packer, row = zlib.compressobj(), bytes(1 + 8000 * 6)
    rows = [packer.compress(row) for _ in range(8000)]
    return _png((8000, 8000), 16, b"".join([*rows, packer.flush()]))


def _cut(chance: random.Random) -> bytes:
    content = redrawn(draw_once("1 MP"), chance.randrange(62_000))
    return content[: chance.randrange(100, len(content) - 100)]


def _cut_png(chance: random.Random) -> bytes:
    content = draw_once("small PNG")
    return content[: chance.randrange(40, len(content) - 20)]


def _flipped_png(chance: random.Random) -> bytes:
    """A byte of its pixels is another one; the checksum says so."""
    content = bytearray(draw_once("small PNG"))
    content[chance.randrange(60, len(content) - 30)] ^= 1 << chance.randrange(8)
    return bytes(content)


def _random_bytes(chance: random.Random) -> bytes:
    return chance.choice((b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF", b"GIF89a")) + (
        chance.randbytes(2000)
    )


def _too_large(chance: random.Random) -> bytes:
    """A header that claims 3.6 gigapixels."""
    return _png((60_000, 60_000), 8, zlib.compress(chance.randbytes(100)))


def _no_image(chance: random.Random) -> bytes:
    return f"<svg xmlns='http://www.w3.org/2000/svg'><text>{chance.random()}</text></svg>".encode()


HOSTILE = (_cut, _cut_png, _flipped_png, _random_bytes, _too_large, _no_image)


def _png(size: tuple[int, int], depth: int, pixels: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", *size, depth, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    written = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


_STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


def _chat(content: str | list[dict[str, Any]], max_tokens: int) -> dict[str, Any]:
    messages = [{"role": "user", "content": content}]
    return {"model": MODEL, "messages": messages, "max_tokens": max_tokens, "temperature": 0}


def _words(chance: random.Random, count: int) -> str:
    return text(count, chance.randrange(10**9))


def _question(chance: random.Random) -> dict[str, Any]:
    return {"type": "text", "text": _words(chance, 8)}


def _shown(content: bytes) -> dict[str, Any]:
    url = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}
