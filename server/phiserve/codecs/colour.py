"""A decoded image of any mode -> RGB, transparent parts on white."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

_PROFILE_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError)


def to_rgb(image: Image.Image) -> Image.Image:
    """The RGB image of a loaded one; the same object where it is one already.

    The profile of an RGB or grey image is left alone: pixels must equal the reference implementation's, which
    ignores it.
    """
    if image.mode.startswith("I;16"):
        return _from_16_bit(image)
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


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits; Pillow's own conversion clips at 255."""
    table = ((np.arange(65536) * 255 + 32767) // 65535).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        table[transparent] = 255
    return Image.fromarray(table[np.asarray(image)]).convert("RGB")


def _from_inks(image: Image.Image) -> Image.Image:
    """CMYK through its profile, since amounts of ink are no colours by themselves; without a usable one, by
    arithmetic.
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
        raise ValueError("no image comes of a transformation that is not in place")
    return shown


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
