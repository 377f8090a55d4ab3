"""Compressed bodies: decoded a little at a time, so that a bomb costs no more than the limit allows."""

import zlib
from collections.abc import Iterator

from phiserve.errors import InvalidRequest, UnsupportedCoding, shortened

_SEGMENT_BYTES = 256 * 1024
"""Most bytes that are decoded at a time: under a millisecond of work."""

_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS


class BodyDecoder:
    """Decodes a body of one content coding (RFC 9110, section 8.4.1).

    Raises InvalidRequest for what is not in that coding.
    """

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._stream: zlib._Decompress | None = None
        self._has_begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decoded segments of at most `_SEGMENT_BYTES` bytes each."""
        while data:
            if self._stream is None:
                self._stream = zlib.decompressobj(self._window_bits(data))
            stream = self._stream
            try:
                segment = stream.decompress(data, _SEGMENT_BYTES)
            except zlib.error:
                raise self._not_decodable() from None
            if segment:
                yield segment
            data = stream.unconsumed_tail
            if stream.eof:
                if stream.unused_data and self._coding != "gzip":
                    raise self._not_decodable()
                data, self._stream = stream.unused_data, None  # gzip may hold several members

    def finish(self) -> None:
        """The body has ended: raises InvalidRequest if its coding has not."""
        if self._stream is not None:
            raise self._not_decodable()

    def _window_bits(self, data: bytes) -> int:
        if self._coding == "gzip":
            return _GZIP
        if self._has_begun:
            raise self._not_decodable()
        self._has_begun = True
        # `deflate` is zlib's format, but some clients send it raw; zlib's first byte names its method.
        return _ZLIB if data[0] & 0x0F == zlib.DEFLATED and data[0] >> 4 <= 7 else _RAW_DEFLATE

    def _not_decodable(self) -> InvalidRequest:
        return InvalidRequest(
            f"The body is not whole in the coding that its Content-Encoding names ({self._coding})",
            code="invalid_body",
        )


def decoder_for(content_encoding: str) -> BodyDecoder | None:
    """The decoder for a `Content-Encoding` header; None where the body is as it is.

    Raises UnsupportedCoding for anything but gzip, deflate, identity or nothing.
    """
    coding = content_encoding.strip().lower().removeprefix("x-")
    if coding in ("", "identity"):
        return None
    if coding in ("gzip", "deflate"):
        return BodyDecoder(coding)
    raise UnsupportedCoding(
        f"The content coding {shortened(content_encoding)!r} is not read here; gzip and deflate are"
    )
