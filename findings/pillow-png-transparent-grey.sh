#!/usr/bin/env bash
# Pillow 13.0.0: the transparent colour of a PNG is lost in grey of 2 and 4 bits.
#
# Guess: where a grey PNG names one colour as transparent (chunk tRNS), pixels of that colour are
# transparent after convert("RGBA"), whatever the depth of the file.
# Seen: true at 1, 8 and 16 bits. At 2 and 4 bits the pixels are stretched to 0..255, while the colour to compare
# them with stays 3 or 15, as it stands in the file, so that white stays opaque.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" pillow==13.0.0
PYTHONPATH=$folder python3 - <<'PYTHON'
import io
import struct
import sys
import zlib
from importlib.metadata import version

from PIL import Image

print("pillow", version("pillow"))
print("guess: a white pixel is transparent in all five files, each of which names white as transparent")


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def white_pixel(depth: int) -> bytes:
    """A grey PNG of one white pixel, white being the transparent colour."""
    white = 2**depth - 1
    sample = white << 8 - depth if depth < 8 else white
    row = b"\0" + sample.to_bytes(max(depth // 8, 1))
    return b"\x89PNG\r\n\x1a\n" + b"".join((
        chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, depth, 0, 0, 0, 0)),
        chunk(b"tRNS", white.to_bytes(2)),
        chunk(b"IDAT", zlib.compress(row)),
        chunk(b"IEND", b""),
    ))


opaque = []
for depth in (1, 2, 4, 8, 16):
    image = Image.open(io.BytesIO(white_pixel(depth)))
    pixel = image.convert("RGBA").getpixel((0, 0))
    print(f"seen: depth {depth}: transparent colour {image.info['transparency']}, white pixel {pixel}")
    if pixel[3] == 255:
        opaque.append(depth)
sys.exit("the behaviour has changed" if opaque != [2, 4] else 0)
PYTHON
