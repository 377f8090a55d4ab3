"""AVIF: read by Pillow."""

from functools import partial

from phiserve.codecs.brands import has_brand
from phiserve.codecs.parsed import ParsedImage
from phiserve.codecs.pillow import open_image, parse_by_pillow

_BRANDS = frozenset({b"avif", b"avis"})


def recognises(content: bytes) -> bool:
    """Whether a file begins as an AVIF."""
    return has_brand(content, _BRANDS)


def parse(content: bytes) -> ParsedImage:
    """Take an AVIF apart. Raises InvalidImage."""
    return parse_by_pillow(partial(open_image, content, "AVIF"))
