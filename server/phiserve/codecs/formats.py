"""The file formats that images may be in, and which one a file is in.

The first bytes of a file decide; its name and media type are not believed.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib.util import find_spec

from phiserve.codecs import avif, bmp, gif, heic, jpeg, png, webp
from phiserve.codecs.parsed import ParsedImage
from phiserve.errors import InvalidImage, StartupError


@dataclass(frozen=True, slots=True)
class Format:
    """A file format.

    `name`: as written in settings and errors. `recognises`: whether a file begins as this format does.
    `parse`: takes a file apart or raises InvalidImage. `is_extra`: served only if the settings ask for it.
    `package`: what has to be installed for it besides our own requirements.
    """

    name: str
    recognises: Callable[[bytes], bool]
    parse: Callable[[bytes], ParsedImage]
    is_extra: bool = False
    package: str | None = None


_KNOWN = (
    Format("JPEG", jpeg.recognises, jpeg.parse),
    Format("PNG", png.recognises, png.parse),
    Format("WEBP", webp.recognises, webp.parse),
    Format("GIF", gif.recognises, gif.parse),
    Format("BMP", bmp.recognises, bmp.parse),
    Format("AVIF", avif.recognises, avif.parse, is_extra=True),
    Format("HEIC", heic.recognises, heic.parse, is_extra=True, package="pillow-heif"),
)

FORMATS = tuple(known.name for known in _KNOWN if not known.is_extra)
"""Names of the formats that are served by default."""

EXTRA_FORMATS = tuple(known.name for known in _KNOWN if known.is_extra)
"""Names of the formats that are served if the settings ask for them: their decoders are large, and young."""


def parse(content: bytes, formats: Collection[str] = FORMATS) -> ParsedImage:
    """Take a file apart, as far as its size needs it.

    Raises InvalidImage if it is damaged, has no pixels or is not in one of `formats`.
    """
    parsed = recognise(content, formats).parse(content)
    if min(parsed.stored_size) < 1:
        raise InvalidImage("the image has no pixels")
    return parsed


def is_image(content: bytes) -> bool:
    """Whether a file begins as an image of any known format does, served or not."""
    return any(known.recognises(content) for known in _KNOWN)


def recognise(content: bytes, formats: Collection[str]) -> Format:
    """The format of a file, one of `formats`. Raises InvalidImage, which names what is served."""
    found = next((known for known in _KNOWN if known.recognises(content)), None)
    served = ", ".join(formats)
    if found is None:
        raise InvalidImage(f"the image is not in a supported format ({served})")
    if found.name not in formats:
        reason = f"the image is in {found.name}, which is switched off on this server; it serves {served}"
        raise InvalidImage(reason)
    return found


def require_decoders(formats: Collection[str]) -> None:
    """Raises StartupError if the decoder of one of `formats` is not installed."""
    for known in _KNOWN:
        package = known.package
        if package and known.name in formats and find_spec(package.replace("-", "_")) is None:
            extra = f"pip install 'phiserve[{known.name.lower()}]', or leave {known.name} out"
            raise StartupError(f"{known.name} images need the package {package}: {extra}")
