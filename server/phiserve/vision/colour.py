"""A decoded picture of any mode -> RGB, transparent parts on white."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

_PROFILE_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError)


def to_rgb(picture: Image.Image) -> Image.Image:
    """The RGB picture of a loaded one; the same object where it is one already.

    The profile of an RGB or grey picture is left alone: pixels must equal the reference implementation's, which ignores it.
    """
    if picture.mode.startswith("I;16"):
        return _from_16_bit(picture)
    if picture.has_transparency_data:
        return _on_white(picture)
    if picture.mode == "CMYK":
        return _from_inks(picture)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _on_white(picture: Image.Image) -> Image.Image:
    shown = picture if picture.mode == "RGBA" else picture.convert("RGBA")
    canvas = Image.new("RGB", shown.size, "white")
    canvas.paste(shown, mask=shown)
    return canvas


def _from_16_bit(picture: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits; Pillow's own conversion clips at 255."""
    table = ((np.arange(65536) * 255 + 32767) // 65535).astype(np.uint8)
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):
        table[transparent] = 255
    return Image.fromarray(table[np.asarray(picture)]).convert("RGB")


def _from_inks(picture: Image.Image) -> Image.Image:
    """CMYK through its profile, since amounts of ink are no colours by themselves; without a usable one, by arithmetic."""
    profile = picture.info.get("icc_profile")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if source.profile.xcolor_space == "CMYK":
                return _through(source, picture)
        except _PROFILE_ERRORS:
            pass  # a damaged profile says nothing about the pixels; viewers ignore it too
    return picture.convert("RGB")


def _through(source: ImageCms.ImageCmsProfile, picture: Image.Image) -> Image.Image:
    shown = ImageCms.profileToProfile(picture, source, _srgb(), ImageCms.Intent.PERCEPTUAL, "RGB")
    if shown is None:
        raise ValueError("no picture comes of a transformation that is not in place")
    return shown


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
