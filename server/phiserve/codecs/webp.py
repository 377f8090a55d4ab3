"""WEBP: read by Pillow; of an animation, the first frame is shown."""

from functools import partial

from phiserve.codecs.parsed import ParsedImage
from phiserve.codecs.pillow import open_image, parse_by_pillow


def recognises(content: bytes) -> bool:
    """Whether a file begins as a WEBP."""
    return content[:4] == b"RIFF" and content[8:12] == b"WEBP"


def parse(content: bytes) -> ParsedImage:
    """Take a WEBP apart. Raises InvalidImage."""
    return parse_by_pillow(partial(open_image, content, "WEBP"))
