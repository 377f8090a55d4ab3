"""GIF: a file is reduced to its first image, which Pillow reads.

Pillow works through any number of comments in Python, and allocates memory for what replaces an image before
its size can be checked. What the image leaves of the screen it fills with some colour of the palette, where
browsers show nothing. Source: CompuServe, Graphics Interchange Format, version 89a.
"""

import struct
from dataclasses import replace
from functools import partial

from phiserve.codecs.damage import DAMAGED
from phiserve.codecs.parsed import ParsedImage, Pixels
from phiserve.codecs.pillow import open_image, parse_by_pillow
from phiserve.errors import InvalidImage

MAX_BLOCKS = 100_000
"""Maximum number of blocks, of up to 255 bytes, before the first image: 25 MB of comments."""

_SIGNATURES = (b"GIF87a", b"GIF89a")
_SCREEN_BYTES = 13
"""Length of the signature and the screen's description, whose flags tell the palette's length."""
_FLAGS = 10
_EXTENSION, _IMAGE, _CONTROL = 0x21, 0x2C, 0xF9
_CONTROL_BYTES = 8
_TRANSPARENT = 0x01
_WHITE = 255


def recognises(content: bytes) -> bool:
    """Whether a file begins as a GIF."""
    return content.startswith(_SIGNATURES)


def parse(content: bytes) -> ParsedImage:
    """Take a GIF apart. Raises InvalidImage."""
    file = reduced(content)
    parsed = parse_by_pillow(partial(open_image, file, "GIF"))
    return replace(parsed, decode_stored=partial(_decode, parsed, *_place(file)))


def _decode(parsed: ParsedImage, left: int, top: int, right: int, bottom: int) -> Pixels:
    """The pixels of a file, white outside of its first image. Raises InvalidImage."""
    pixels = parsed.decode_stored()
    pixels[:top] = pixels[bottom:] = _WHITE
    pixels[:, :left] = pixels[:, right:] = _WHITE
    return pixels


def _place(file: bytes) -> tuple[int, int, int, int]:
    """Left, top, right and bottom side of the image of a reduced file. Raises InvalidImage."""
    start = _SCREEN_BYTES + _palette_length(file[_FLAGS])
    start += _CONTROL_BYTES * (file[start] == _EXTENSION) + 1
    if len(file) < start + 8:
        raise InvalidImage(DAMAGED)
    left, top, width, height = struct.unpack_from("<HHHH", file, start)
    return left, top, left + width, top + height


def reduced(content: bytes) -> bytes:
    """The file without what stands before its first image and does not concern it.

    The screen, the palette, the first image's transparent colour, and everything from that image on are kept.
    Raises InvalidImage.
    """
    if len(content) < _SCREEN_BYTES:
        raise InvalidImage(DAMAGED)
    start = _SCREEN_BYTES + _palette_length(content[_FLAGS])
    image, control = _find_image(content, start)
    return b"".join((content[:start], control, memoryview(content)[image:]))


def _palette_length(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _find_image(content: bytes, offset: int) -> tuple[int, bytes]:
    """The offset of the first image, and the last graphic control extension before it.

    Of the extension only the transparent colour is kept, not what is to be done after showing the image.
    Raises InvalidImage.
    """
    control = b""
    is_inside_extension = False
    for _ in range(MAX_BLOCKS):
        if offset >= len(content):
            raise InvalidImage(DAMAGED)
        value = content[offset]
        if is_inside_extension:  # a block and its length; an empty one is the last
            is_inside_extension = value != 0
            offset += 1 + value
        elif value == _IMAGE:
            return offset, control
        elif value == _EXTENSION:
            if content[offset + 1 : offset + 3] == bytes((_CONTROL, 4)):
                control = _transparency_only(content[offset : offset + _CONTROL_BYTES])
            is_inside_extension = True
            offset += 2
        elif value == 0:  # stray zeros between blocks are common
            offset += 1
        else:
            raise InvalidImage(DAMAGED)
    raise InvalidImage(f"the image has more than {MAX_BLOCKS} GIF blocks before it begins")


def _transparency_only(control: bytes) -> bytes:
    if len(control) < _CONTROL_BYTES:
        raise InvalidImage(DAMAGED)
    return control[:3] + bytes((control[3] & _TRANSPARENT,)) + control[4:]
