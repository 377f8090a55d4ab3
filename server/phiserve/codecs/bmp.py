"""BMP: bounds for run-length encoding, which Pillow decodes in Python, holding up everything else.

Source: Microsoft, BITMAPINFOHEADER.
"""

from phiserve.codecs.unreadable import Unreadable

MAX_RLE_BYTES = 2**20
MAX_RLE_PIXELS = 4_000_000

_RLE8, _RLE4 = 1, 2


def checked_bmp(content: bytes) -> bytes:
    """The file itself. Raises Unreadable where decoding would take seconds."""
    header_length, width, height = (
        int.from_bytes(content[place : place + 4], "little") for place in (14, 18, 22)
    )
    if header_length >= 40 and int.from_bytes(content[30:34], "little") in (_RLE8, _RLE4):
        pixels = width * min(height, 2**32 - height)  # negative where the first row is the top one
        if len(content) > MAX_RLE_BYTES or pixels > MAX_RLE_PIXELS:
            limits = f"{MAX_RLE_BYTES} bytes and {MAX_RLE_PIXELS} pixels"
            raise Unreadable(f"is a run-length encoded BMP beyond {limits}")
    return content
