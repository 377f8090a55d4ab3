"""GIF: a file reduced to its first image.

Pillow works through any number of comments in Python, and makes room for what replaces an image before its
size can be checked. Source: CompuServe, Graphics Interchange Format, version 89a.
"""

from phiserve.codecs.unreadable import DAMAGED, Unreadable

MAX_BLOCKS = 100_000
"""Blocks of up to 255 bytes before the first image: 25 MB of comments."""

_EXTENSION, _IMAGE, _CONTROL = 0x21, 0x2C, 0xF9
_TRANSPARENT = 0x01


def reduced_gif(content: bytes) -> bytes:
    """Screen, palette, the first image's transparent colour, and everything from that image on. Raises
    Unreadable.
    """
    try:
        start = 13 + _palette_length(content[10])
        image, control = _find_image(content, start)
    except IndexError:
        raise Unreadable(DAMAGED) from None
    return b"".join((content[:start], control, memoryview(content)[image:]))


def _palette_length(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _find_image(content: bytes, place: int) -> tuple[int, bytes]:
    """Where the first image begins, and the last graphic control before it, without what is to be done after
    showing it.
    """
    control = b""
    inside_extension = False
    for _ in range(MAX_BLOCKS):
        value = content[place]
        if inside_extension:  # a block and its length; an empty one is the last
            inside_extension = value != 0
            place += 1 + value
        elif value == _IMAGE:
            return place, control
        elif value == _EXTENSION:
            if content[place + 1 : place + 3] == bytes((_CONTROL, 4)):
                control = _shown_only(content[place : place + 8])
            inside_extension = True
            place += 2
        elif value == 0:  # stray zeros between blocks are common
            place += 1
        else:
            raise Unreadable(DAMAGED)
    raise Unreadable(f"has more than {MAX_BLOCKS} GIF blocks before it begins")


def _shown_only(control: bytes) -> bytes:
    return control[:3] + bytes((control[3] & _TRANSPARENT,)) + control[4:]
