"""What becomes of an image that a server is asked about."""

import re
from dataclasses import dataclass
from typing import Any

import httpx

from images import image_part
from tally import kind_of

PARAM = "messages[0].content[0].image_url"
OUR_WORDS = [
    r"the image is damaged or incomplete",
    r"the image is not in a supported format \(JPEG, PNG, WEBP, GIF, BMP(, AVIF, HEIC)?\)",
    r"the image is in (AVIF|HEIC), which is switched off on this server; it serves JPEG, PNG, WEBP, GIF, BMP",
    r"the image is of a rare kind of JPEG \(arithmetically coded, lossless, hierarchical, not of 8 bits or "
    r"unusually sampled\) that is not supported",
    r"the image is a run-length encoded BMP beyond \d+ bytes and \d+ pixels",
    r"the image has more than \d+ (PNG chunks|JPEG segments|JPEG scans|GIF blocks before it begins)",
    r"the image has no pixels",
    r"the image has \d+ x \d+ pixels; the limit is 64000000 \(max_image_pixels\)",
    r"the image is empty",
    r"the image's file is too large; the limit is 20971520 bytes \(max_image_bytes\)",
    r"\d+ x \d+ is too thin; the limit is 336 to 1 \(max_image_aspect_ratio\)",
]
"""All that is said of images. Nothing of a library's, no path, no address."""

_MESSAGE = re.compile(re.escape(PARAM) + r"(\.url)?: (" + "|".join(OUR_WORDS) + ")")


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer to a question about one image, after how many seconds."""

    name: str
    content: bytes
    status: int
    message: str
    code: str
    seconds: float

    @property
    def kind(self) -> str:
        """Its row in the tally."""
        return kind_of(self.status, self.code, self.message)

    @property
    def is_proper(self) -> bool:
        """A 200, or a 400 in our own words."""
        return self.status == 200 or (self.status == 400 and _MESSAGE.fullmatch(self.message) is not None)


def question(model: str, content: bytes) -> dict[str, Any]:
    """The body of a request that shows one image."""
    return {
        "model": model,
        "max_tokens": 1,
        "messages": [{"role": "user", "content": [image_part(content, "low")]}],
    }


async def ask_about(client: httpx.AsyncClient, model: str, name: str, content: bytes) -> Outcome:
    """Ask, and look at the clock."""
    response = await client.post("/v1/chat/completions", json=question(model, content))
    error = response.json().get("error", {})
    seconds = response.elapsed.total_seconds()
    return Outcome(
        name, content, response.status_code, error.get("message", ""), error.get("code", ""), seconds
    )
