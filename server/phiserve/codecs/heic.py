"""HEIC: read by pillow_heif, which comes with the extra `phiserve[heic]`."""

import io
from functools import partial

from PIL import Image

from phiserve.codecs.brands import has_brand
from phiserve.codecs.parsed import ParsedImage
from phiserve.codecs.pillow import parse_by_pillow

_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})


def recognises(content: bytes) -> bool:
    """Whether a file begins as a HEIC."""
    return has_brand(content, _BRANDS)


def parse(content: bytes) -> ParsedImage:
    """Take a HEIC apart. Raises InvalidImage."""
    return parse_by_pillow(partial(_open, content))


def _open(content: bytes) -> Image.Image:
    from pillow_heif import HeifImageFile

    return HeifImageFile(io.BytesIO(content))  # type: ignore[no-untyped-call]
