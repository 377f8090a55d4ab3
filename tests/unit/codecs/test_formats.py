"""A file is what its first bytes say, and formats are served as the settings name them. Covers `formats`,
`brands`, `avif`, `heic` and `webp`.
"""

import time

import numpy as np
import pytest
from PIL import Image

from hostile import large_heic
from images import encode, noise, shown
from phiserve.codecs import EXTRA_FORMATS, FORMATS, parse, require_decoders
from phiserve.codecs import formats as module
from phiserve.codecs.formats import recognise
from phiserve.errors import InvalidImage, StartupError
from phiserve.vision.limits import ImageLimits

ALL = (*FORMATS, *EXTRA_FORMATS)


def heic(image: Image.Image) -> bytes:
    """A HEIC file, by the library that also reads it."""
    import io

    from pillow_heif import from_pillow

    buffer = io.BytesIO()
    from_pillow(image).save(buffer, quality=-1, chroma=444)
    return buffer.getvalue()


@pytest.mark.parametrize("name", [*FORMATS, "AVIF"])
def test_the_first_bytes_decide(name: str) -> None:
    """Every format is told by its content alone."""
    assert recognise(encode(noise(8, 8), name), ALL).name == name


@pytest.mark.parametrize(
    ("brands", "name"),
    [
        (b"avif\0\0\0\0mif1", "AVIF"),
        (b"mif1\0\0\0\0miafavif", "AVIF"),
        (b"avis\0\0\0\0", "AVIF"),
        (b"heic\0\0\0\0mif1", "HEIC"),
        (b"mif1\0\0\0\0heic", "HEIC"),
        (b"msf1\0\0\0\0hevc", "HEIC"),
    ],
)
def test_brands(brands: bytes, name: str) -> None:
    """ISO media files say what they are in any of their brands."""
    assert recognise((8 + len(brands)).to_bytes(4) + b"ftyp" + brands, ALL).name == name


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"\0\0\1\0\1\0\x10\x10",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"\0\0\0\x18ftypmp42\0\0\0\0isom",
        b"\0\0\0\xffftypmp42",
        encode(noise(4, 4), "TIFF"),
        encode(noise(4, 4), "ICO"),
        encode(noise(4, 4), "JPEG2000"),
    ],
)
def test_other_content_is_refused(content: bytes) -> None:
    """Texts, documents, films, and image formats that are not served; the message names those that are."""
    with pytest.raises(InvalidImage, match="JPEG, PNG, WEBP, GIF, BMP"):
        recognise(content, FORMATS)


def test_a_format_that_is_off_is_named() -> None:
    """AVIF is off by default, and the message says that it could be on."""
    with pytest.raises(
        InvalidImage,
        match=r"^the image is in AVIF, which is switched off .* JPEG, PNG, WEBP, GIF, BMP$",
    ):
        parse(encode(noise(8, 8), "AVIF"))


@pytest.mark.parametrize("name", EXTRA_FORMATS)
def test_extra_formats_where_asked_for(name: str) -> None:
    """AVIF and HEIC images come out in their colours."""
    image = Image.new("RGB", (64, 48), (200, 30, 60))
    content = heic(image) if name == "HEIC" else encode(image, name, quality=100)
    parsed = parse(content, ALL)
    assert (recognise(content, ALL).name, parsed.size) == (name, (64, 48))
    assert np.abs(parsed.decode()[20, 30].astype(int) - (200, 30, 60)).max() <= 4


@pytest.mark.parametrize("name", EXTRA_FORMATS)
def test_damaged_extra_formats_are_refused(name: str) -> None:
    """A part of a file is a 400 like any other."""
    whole = heic(noise(128, 128)) if name == "HEIC" else encode(noise(128, 128), name)
    for content in (whole[:40], whole[: len(whole) // 2], whole[:-9]):
        with pytest.raises(InvalidImage, match=r"^the image is damaged or incomplete$"):
            shown(content, ALL)


def test_heic_of_the_largest_size() -> None:
    """As many pixels as are allowed come out right, in less than the five seconds that any image may take."""
    began = time.process_time()
    parsed = parse(large_heic(), ALL)
    ImageLimits().check_size(parsed.size)
    pixels = parsed.decode()
    spent_s = time.process_time() - began
    assert (parsed.size, pixels.shape) == ((8000, 8000), (8000, 8000, 3))
    sample = pixels[::97, ::97].astype(int)
    assert np.abs(sample - (200, 30, 60)).max() <= 4
    assert spent_s < 5


@pytest.mark.parametrize(
    ("claimed", "code"),
    [((8001, 8000), "image_too_large"), ((60_000, 60_000), "image_too_large"), ((8000, 8), "image_too_thin")],
)
def test_heic_beyond_the_limits(claimed: tuple[int, int], code: str) -> None:
    """Judged by the header, before anything is decoded, in the limits' own words."""
    with pytest.raises(InvalidImage) as caught:
        ImageLimits().check_size(parse(large_heic(claimed), ALL).size)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "claimed", [(80, 80), (8000, 4000), (7999, 8000), (8000, 8001), (0, 0), (2**31, 2**31)]
)
def test_heic_of_another_size_than_it_claims(claimed: tuple[int, int]) -> None:
    """A file that passes the limits by claiming less is not shown, and neither is one that claims more."""
    content = large_heic(claimed)
    with pytest.raises(InvalidImage, match=r"^the image is damaged or incomplete$"):
        shown(content, ALL)


def test_a_missing_decoder_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for HEIC without its package learns at start-up what to install; nobody else does."""
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    require_decoders((*FORMATS, "AVIF"))
    with pytest.raises(StartupError, match=r"pip install 'phiserve\[heic\]'"):
        require_decoders(ALL)
