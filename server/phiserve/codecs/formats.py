"""Which file formats are served, and which one a file is of, told by its first bytes: names and media types
are not believed.
"""

from collections.abc import Collection
from importlib.util import find_spec

from phiserve.codecs.unreadable import Unreadable
from phiserve.errors import StartupError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""Always served."""

EXTRA_FORMATS = ("AVIF", "HEIC")
"""Served where the settings ask for them: their decoders are large, and young."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
)
_BRANDS = (
    (frozenset({b"avif", b"avis"}), "AVIF"),
    (frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}), "HEIC"),
)
_MOST_BRANDS = 64


def require_decoders(formats: Collection[str]) -> None:
    """Raises StartupError where a format is asked for whose decoder is not installed."""
    if "HEIC" in formats and find_spec("pillow_heif") is None:
        raise StartupError(
            "HEIC images need the package pillow-heif: pip install 'phiserve[heic]', or leave HEIC out"
        )


def recognise(content: bytes, formats: Collection[str]) -> str:
    """The format of a file, one of `formats`. Raises Unreadable, naming what would be served."""
    name = _format_of(content)
    if name in formats:
        return name
    if name in EXTRA_FORMATS:
        raise Unreadable(
            f"is in {name}, which is switched off on this server; it serves {', '.join(formats)}"
        )
    raise Unreadable(f"is not in a supported format ({', '.join(formats)})")


def _format_of(content: bytes) -> str:
    for signature, name in _SIGNATURES:
        if content.startswith(signature):
            return name
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    if content[4:8] == b"ftyp":
        return _format_of_brands(content)
    return ""


def _format_of_brands(content: bytes) -> str:
    """ISO media files list their brands at the start (ISO/IEC 14496-12, 4.3): the major one, its version,
    then the others.
    """
    length = min(int.from_bytes(content[:4]), 16 + 4 * _MOST_BRANDS)
    brands = {content[8:12], *(content[place : place + 4] for place in range(16, length, 4))}
    return next((name for known, name in _BRANDS if brands & known), "")
