"""Image files that claim to be large, expand, or keep a parser busy, each under the name of what it
attacks.
"""

import zlib

from hostile import bmp, flat_jpeg, gif, jpeg_segment, large_heic, png, png_chunk, progressive_jpeg, webp
from images import encode, noise

LARGEST = 20 * 2**20
"""Bytes that an image may have."""


def inflating_png() -> bytes:
    """As many pixels as are allowed, at 16 bits and with alpha: 512 MB in half a megabyte."""
    return png((8000, 8000), 16, 6, bytes(8000 * (1 + 8000 * 8)))


def bombs() -> list[tuple[str, bytes]]:
    """Small files that claim to be large, expand, or keep a parser busy."""
    return [*_png_bombs(), *_jpeg_bombs(), *_other_bombs(), *_other_files()]


def _png_bombs() -> list[tuple[str, bytes]]:
    """Checksums right, sizes and counts wrong."""
    dot = b"\0\1\2\3"
    return [
        ("png header", png((60000, 60000), 8, 2, b"")),
        ("png inflating", inflating_png()),
        ("png profile", png((1, 1), 8, 2, dot, [png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(10**8)))])),
        ("png chunks", png((1, 1), 8, 2, dot, [png_chunk(b"prIv") * (LARGEST // 13)])),
        ("png chunks behind", png((1, 1), 8, 2, dot, after=png_chunk(b"prIv") * (LARGEST // 13))),
        (
            "png texts",
            png((1, 1), 8, 2, dot, [b"".join(png_chunk(b"tEXt", b"%d\0v" % n) for n in range(90_000))]),
        ),
        ("png rows missing", png((8000, 8000), 8, 2, b"")),
        ("png palette missing", png((1, 1), 8, 3, b"\0\1")),
        ("png empty data", png((1, 1), 8, 2, dot, [png_chunk(b"IDAT") * 90_000])),
    ]


def _jpeg_bombs() -> list[tuple[str, bytes]]:
    """Scans, segments and padding without end."""
    small_jpeg = encode(noise(8, 8), "JPEG")
    return [
        ("jpeg header", flat_jpeg((8, 8), [(1, 1)]).replace(b"\0\x08\0\x08", b"\xff\xdc\xff\xdc")),
        ("jpeg scans allowed", progressive_jpeg((8000, 8000), 63)),
        ("jpeg scans valid", progressive_jpeg((8000, 8000), 63, progression=0)),
        ("jpeg scans", progressive_jpeg((8000, 8000), 2000)),
        (
            "jpeg arithmetic",
            flat_jpeg(
                (8000, 8000), [(1, 1)] * 3, frame=0xC9, scan=noise(60, 60).tobytes().replace(b"\xff", b"")
            ),
        ),
        ("jpeg segments", small_jpeg[:2] + jpeg_segment(0xE1) * (LARGEST // 5) + small_jpeg[2:]),
        ("jpeg exif", small_jpeg[:2] + jpeg_segment(0xE1, b"Exif\0\0" + bytes(5000)) * 4000 + small_jpeg[2:]),
        ("jpeg padding", small_jpeg[:2] + b"\xff" * (LARGEST - 2000) + small_jpeg[2:]),
        ("jpeg zeros", small_jpeg[:2] + jpeg_segment(0xE0) + bytes(LARGEST - 2000) + small_jpeg[2:]),
        ("jpeg escapes", small_jpeg[:-2] + b"\xff\0" * (LARGEST // 2 - 2000) + small_jpeg[-2:]),
    ]


def _other_bombs() -> list[tuple[str, bytes]]:
    """Of the other formats served."""
    small_webp = encode(noise(8, 8), "WEBP")
    return [
        ("gif screen", gif((65535, 65535), (1, 1))),
        ("gif frame", gif((8, 8), (65535, 65535), b"!\xf9\x04\x08\0\0\0\0")),
        ("gif frames", gif((8000, 8000), (1, 1), frames=10_000)),
        ("gif comments", gif((1, 1), (1, 1), b"!\xfe\x01x\0" * (LARGEST // 6))),
        ("webp canvas", webp((65535, 65535), small_webp)),
        ("webp frames", webp((8000, 8000), small_webp, frames=100_000)),
        ("bmp upwards", bmp((8, -(2**31)), b"")),
        ("bmp size", bmp((2**31 - 1, 2**31 - 1), b"")),
        ("bmp runs", bmp((8000, 8000), b"\1\5" * (LARGEST // 2 - 2000), 1)),
        ("bmp runs allowed", bmp((2000, 2000), b"\1\5" * 500_000, 1)),
        ("bmp row ends", bmp((2000, 2000), b"\1\5\0\0" * 2000, 1)),
        ("heic", large_heic()),
    ]


def _other_files() -> list[tuple[str, bytes]]:
    """Which are no images that are served."""
    return [
        ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"),
        ("pdf", b"%PDF-1.7\n%%EOF"),
        ("eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run"),
        ("tiff", encode(noise(8, 8), "TIFF")),
        ("ico", encode(noise(16, 16), "ICO")),
        ("noise", noise(400, 400).tobytes()),
    ]
