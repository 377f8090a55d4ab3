"""Image files made byte by byte: odd ones that must be shown right, and hostile ones that must cost
little.
"""

import base64
import struct
import zlib
from collections.abc import Iterable, Sequence

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png_chunk(kind: bytes, body: bytes = b"") -> bytes:
    """A PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    size: tuple[int, int],
    depth: int,
    colour_type: int,
    rows: bytes,
    before: Iterable[bytes] = (),
    after: bytes = b"",
) -> bytes:
    """A PNG of `rows` (each with its filter byte), with chunks before and behind them."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour_type, 0, 0, 0))
    return b"".join(
        (PNG_SIGNATURE, header, *before, png_chunk(b"IDAT", zlib.compress(rows)), after, png_chunk(b"IEND"))
    )


def jpeg_segment(kind: int, body: bytes = b"") -> bytes:
    """A JPEG segment: marker, length, content."""
    return bytes((0xFF, kind)) + struct.pack(">H", len(body) + 2) + body


def progressive_jpeg(size: tuple[int, int], scans: int, progression: int = 0x10) -> bytes:
    """A grey image in one scan of zeros, then `scans` that refine nothing: a few bytes each, at the cost of
    all pixels.
    """
    blocks = -(-size[0] // 8) * -(-size[1] // 8)
    runs, rest = divmod(blocks, 2**15 - 1)
    ends_of_bands = "0" + "1" * 14  # a run of 2^15 - 1 blocks with nothing in them
    bits = ends_of_bands * runs + "10" * rest
    refining = jpeg_segment(0xDA, bytes((1, 1, 0, 1, 63, progression))) + _packed(bits)
    return b"".join(
        (
            b"\xff\xd8",
            jpeg_segment(0xDB, bytes((0, *[1] * 64))),
            jpeg_segment(0xC2, struct.pack(">BHHB", 8, size[1], size[0], 1) + bytes((1, 0x11, 0))),
            jpeg_segment(0xC4, bytes((0x00, 1, *[0] * 15, 0))),  # the DC code: 0 is "no change"
            jpeg_segment(
                0xC4, bytes((0x10, 1, 1, *[0] * 14, 0xE0, 0x00))
            ),  # AC: 0 begins a run, 10 ends a band
            jpeg_segment(0xDA, bytes((1, 1, 0, 0, 0, 0))),
            bytes(-(-blocks // 8)),
            refining * scans,
            b"\xff\xd9",
        )
    )


def flat_jpeg(
    size: tuple[int, int], sampling: Sequence[tuple[int, int]], frame: int = 0xC0, scan: bytes | None = None
) -> bytes:
    """A grey image in as many components as there are sampling factors; `frame` 0xC9 is arithmetic coding."""
    wide, high = (8 * max(factors) for factors in zip(*sampling, strict=True))
    units = -(-size[0] // wide) * -(-size[1] // high)
    blocks = units * sum(across * down for across, down in sampling)
    components = b"".join(
        bytes((number, across << 4 | down, 0)) for number, (across, down) in enumerate(sampling)
    )
    return b"".join(
        (
            b"\xff\xd8",
            jpeg_segment(0xDB, bytes((0, *[1] * 64))),
            jpeg_segment(frame, struct.pack(">BHHB", 8, size[1], size[0], len(sampling)) + components),
            jpeg_segment(0xC4, bytes((0x00, 1, *[0] * 15, 0))),
            jpeg_segment(0xC4, bytes((0x10, 1, *[0] * 15, 0))),
            jpeg_segment(
                0xDA,
                bytes((len(sampling),)) + b"".join(bytes((n, 0)) for n in range(len(sampling))) + b"\0\x3f\0",
            ),
            _packed("00" * blocks) if scan is None else scan,
            b"\xff\xd9",
        )
    )


def flat_jpeg_of_three_scans(size: tuple[int, int]) -> bytes:
    """The same of three components that come one after the other."""
    whole = flat_jpeg(size, [(1, 1)] * 3, scan=b"")
    head = whole[: whole.index(b"\xff\xda")]
    blocks = _packed("00" * (-(-size[0] // 8) * -(-size[1] // 8)))
    return (
        head
        + b"".join(jpeg_segment(0xDA, bytes((1, number, 0, 0, 63, 0))) + blocks for number in range(3))
        + b"\xff\xd9"
    )


def _packed(bits: str) -> bytes:
    padded = bits + "1" * (-len(bits) % 8)
    return int(padded or "0", 2).to_bytes(len(padded) // 8).replace(b"\xff", b"\xff\x00")


def gif(screen: tuple[int, int], frame: tuple[int, int], before: bytes = b"", frames: int = 1) -> bytes:
    """A GIF of black and white whose frames claim a size and hold one pixel."""
    image = b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x44\x01\x00"
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", *screen, 0x80, 0, 0)
        + b"\x00\x00\x00\xff\xff\xff"
        + before
        + image * frames
        + b";"
    )


def webp(canvas: tuple[int, int], bitstream: bytes, frames: int = 1) -> bytes:
    """An animated WEBP of a given canvas, each frame the 8 x 8 image whose WEBP file is `bitstream`."""
    side = struct.pack("<I", 7)[:3]
    frame = b"\x00" * 6 + side + side + b"\x01\x00\x00\x00" + bitstream[12:]
    sides = b"".join(struct.pack("<I", length - 1)[:3] for length in canvas)
    body = (
        b"WEBP"
        + _riff(b"VP8X", b"\x02\x00\x00\x00" + sides)
        + _riff(b"ANIM", bytes(6))
        + _riff(b"ANMF", frame) * frames
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _riff(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body


def bmp(size: tuple[int, int], body: bytes, compression: int = 0) -> bytes:
    """A BMP of 256 greys; compression 1 is RLE8. A negative height means that the top row comes first."""
    header = struct.pack("<IiiHHIIiiII", 40, *size, 1, 8, compression, len(body), 0, 0, 256, 0)
    palette = b"".join(bytes((grey, grey, grey, 0)) for grey in range(256))
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(body), 0, 0, 54 + 1024) + header + palette + body


_HEIC_SIDE = 8000
_HEIC = (
    "eNrt1kFrE0EUAOA3u2lcpdFIFYtUrBXBglSKIvHQstZI9SKeRC+S7TYxA9lk2KwhQQrroRgvIgjisYjgTXsuFKMgeNOr4KHHoCI9eKhSjW+S6KE/4I3S"
    "97LZmXk7ux/zCJsBgJFC1FDFvPQBI5CFSd0PpFcAENeDfORBL44U50thvw9K+hFsiTFZqnQfknVB4AdDLPRagMwXPB2VslzoDnV2Pw7yVn9UrPmTurtb"
    "ySj4O+WDVKHCdkUqv4LtbZx2Xtg69aA7aXUdNn9ubADssXN4x7ArBkWnoyfYeoatj9UVy/Xw4sSMEFuuLMEPBxYGHn26NP68bB0cdHT2rT457hzesiMr"
    "XoXLcy5KQ36lFJb9Uh3TKUjGmNonqyrfW95ht/eFtJJ1qTO24+DT4IBUwZ8KYlESdyw7gdX4Fsx7WMBM+7h4kUhPN5uNeq12K+pGtVoNKSPebGQ+d76n"
    "3y0KdWPvy+XLN2fV+OK9x/0ikR3342ftr8ncmylqGE6NPkydbpGzNqzHdw2okHxqQrWtJybYq64B1ZowgO5sG0BH3htAz4waQOsmfki/YnpUeNvj3WC/"
    "JjcHPpKTzjVycleTnExdJCfTV8jJIfqX7bAiJw/RF3aM/g/l2Bo5eYJ+lSfXDOzmyUkD+5GzS+TkFP0qp3Pk5Dn6bd5MazuQWfrCXmgxySST/xo56zLJ"
    "JJNMMskkk0wyySSTTDLJJJNMMskkk0wyySSTTDLJJJNMMskkk0wyySST/w3Z+g2K/BMF"
)
"""A HEIC of 8000 x 8000 equal pixels, (200, 30, 60), compressed: x265 takes half a minute to encode one."""


def large_heic(claimed: tuple[int, int] = (_HEIC_SIDE, _HEIC_SIDE)) -> bytes:
    """64 million pixels in 15 kB, in a file that claims a size (box `ispe`, ISO/IEC 23008-12, 6.5.3)."""
    content = zlib.decompress(base64.b64decode(_HEIC))
    return content.replace(struct.pack(">II", _HEIC_SIDE, _HEIC_SIDE), struct.pack(">II", *claimed))


def cmyk_profile() -> bytes:
    """An ICC profile of a press whose cyan ink looks green, and whose other inks do not show (ICC.1:2001-04,
    6.1 and 6.5.8).
    """
    white, green = bytes((255, 128, 128)), bytes((153, 48, 178))  # L*a*b*
    corners = b"".join(green if corner & 8 else white for corner in range(16))
    matrix = struct.pack(">9i", *(65536 if index % 4 == 0 else 0 for index in range(9)))
    curve = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix + curve * 4 + corners + curve * 3
    tags = struct.pack(">I4sII", 1, b"A2B0", 144, len(table))
    white_point = struct.pack(">3i", 63190, 65536, 54061)  # D50
    header = struct.pack(
        ">I4sI4s4s4s12s4s",
        144 + len(table),
        bytes(4),
        0x02400000,
        b"prtr",
        b"CMYK",
        b"Lab ",
        bytes(12),
        b"acsp",
    )
    return (header + bytes(28)).ljust(68, b"\0")[:68] + white_point + bytes(48) + tags + table
