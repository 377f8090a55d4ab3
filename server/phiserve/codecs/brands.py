"""Brands: what an ISO media file says that it is. Source: ISO/IEC 14496-12, 4.3."""

from collections.abc import Set as AbstractSet

_MAX_BRANDS = 64


def has_brand(content: bytes, brands: AbstractSet[bytes]) -> bool:
    """Whether a file names one of `brands` in its first box, which holds the major brand, its version
    and the others.
    """
    if content[4:8] != b"ftyp":
        return False
    length = min(int.from_bytes(content[:4]), 16 + 4 * _MAX_BRANDS)
    named = {content[8:12], *(content[offset : offset + 4] for offset in range(16, length, 4))}
    return not brands.isdisjoint(named)
