"""Compressed bodies."""

import gzip
import tracemalloc
import zlib

import pytest

from phiserve.api.content_coding import decoder_for
from phiserve.errors import InvalidRequest, UnsupportedCoding

TEXT = b'{"model": "m"}' * 1000


def decoded(coding: str, data: bytes, step: int = 7) -> bytes:
    """What comes out of a body that arrives in small parts."""
    decoder = decoder_for(coding)
    assert decoder is not None
    parts = [data[start : start + step] for start in range(0, len(data), step)]
    text = b"".join(segment for part in parts for segment in decoder.feed(part))
    decoder.finish()
    return text


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", gzip.compress(TEXT)),
        ("x-gzip", gzip.compress(TEXT)),
        (" GZIP ", gzip.compress(TEXT)),
        ("gzip", gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:])),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw_deflate(TEXT)),
    ],
    ids=["gzip", "x-gzip", "capitals", "members", "zlib", "raw deflate"],
)
def test_codings(coding: str, data: bytes) -> None:
    """As they are sent: several members, zlib's format or none around deflate, in parts or at once."""
    assert decoded(coding, data) == decoded(coding, data, len(data)) == TEXT


def test_no_coding() -> None:
    """Nothing, and its name."""
    assert decoder_for("") is decoder_for("identity") is None


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "aes128gcm"])
def test_other_codings_are_refused(coding: str) -> None:
    """By name, with those that would do."""
    with pytest.raises(UnsupportedCoding, match="gzip and deflate are") as caught:
        decoder_for(coding)
    assert caught.value.headers == {"Accept-Encoding": "gzip, deflate"}


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", TEXT),
        ("gzip", gzip.compress(TEXT)[:-1]),
        ("gzip", gzip.compress(TEXT) + b"x"),
        ("gzip", gzip.compress(TEXT)[:-8] + bytes(8)),
        ("deflate", zlib.compress(TEXT)[:-1]),
        ("deflate", zlib.compress(TEXT) + b"x"),
        ("deflate", zlib.compress(TEXT) * 2),
    ],
    ids=["text", "gzip cut", "gzip followed", "checksum", "zlib cut", "zlib followed", "zlib twice"],
)
@pytest.mark.parametrize("step", [7, 10**6])
def test_what_is_damaged_is_refused(coding: str, data: bytes, step: int) -> None:
    """Cut off, followed by something, with a wrong checksum, or not compressed at all."""
    with pytest.raises(InvalidRequest) as caught:
        decoded(coding, data, step)
    assert caught.value.code == "invalid_body"


def test_a_bomb_comes_in_small_segments() -> None:
    """Megabytes of zeros are never held at once: each segment is asked for, and then forgotten."""
    decoder = decoder_for("gzip")
    assert decoder is not None
    bomb = gzip.compress(bytes(2**26), 9)
    tracemalloc.start()
    sizes = [len(segment) for segment in decoder.feed(bomb)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (sum(sizes), max(sizes) <= 2**18, peak < 2**22) == (2**26, True, True)
