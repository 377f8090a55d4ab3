"""Brands, by which an ISO media file names its formats. Source: ISO/IEC 14496-12, 4.3."""

from collections.abc import Set as AbstractSet

_MAX_BRANDS = 64


def has_brand(content: bytes, brands: AbstractSet[bytes]) -> bool:
    """Whether a file names one of `brands` in its first box.

    The box holds the major brand, its version and compatible brands, of which the first 64 are looked at.
    """
    if content[4:8] != b"ftyp":
        return False
    length = min(int.from_bytes(content[:4]), 16 + 4 * _MAX_BRANDS)
    named = {content[8:12], *(content[offset : offset + 4] for offset in range(16, length, 4))}
    return not brands.isdisjoint(named)
