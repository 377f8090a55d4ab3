"""A Pillow image of any mode -> RGB pixels, with transparent parts on white."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from phiserve.codecs.damage import library_failures
from phiserve.codecs.parsed import Pixels

_PROFILE_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError)
_LEVELS = 2**16
"""Levels of 16-bit grey."""


def to_pixels(image: Image.Image) -> Pixels:
    """The RGB pixels of an image, in an array of their own. Raises InvalidImage if Pillow fails.

    The profile of an RGB or grey image is left alone: pixels must equal those of the reference
    implementation, which ignores it.
    """
    with library_failures():
        image.load()
    if image.mode.startswith("I;16"):
        return _from_16_bit(image)
    with library_failures():
        return np.array(_to_rgb(image))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        return _on_white(image)
    if image.mode == "CMYK":
        return _from_inks(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    shown = image if image.mode == "RGBA" else image.convert("RGBA")
    canvas = Image.new("RGB", shown.size, "white")
    canvas.paste(shown, mask=shown)
    return canvas


def _from_16_bit(image: Image.Image) -> Pixels:
    """Scale 16-bit grey to 8 bits; Pillow's own conversion clips at 255."""
    table = ((np.arange(_LEVELS) * 255 + 32767) // 65535).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int) and 0 <= transparent < _LEVELS:
        table[transparent] = 255
    with library_failures():
        levels = np.asarray(image)
    return np.repeat(table[levels][..., None], 3, axis=2)


def _from_inks(image: Image.Image) -> Image.Image:
    """CMYK -> RGB through the image's ICC profile, or by arithmetic if it has no usable one.

    Amounts of ink are no colours by themselves: the profile says which colours they make.
    """
    profile = image.info.get("icc_profile")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if source.profile.xcolor_space == "CMYK":
                return _through(source, image)
        except _PROFILE_ERRORS:
            pass  # a damaged profile says nothing about the pixels; viewers ignore it too
    return image.convert("RGB")


def _through(source: ImageCms.ImageCmsProfile, image: Image.Image) -> Image.Image:
    shown = ImageCms.profileToProfile(image, source, _srgb(), ImageCms.Intent.PERCEPTUAL, "RGB")
    if shown is None:
        raise ValueError("a transformation into a new image returned none")
    return shown


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
