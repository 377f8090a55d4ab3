"""The picture pipeline as a service: everything that blocks runs on a thread pool of its own, never on the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from blake3 import blake3
from prometheus_client import Counter

from phiserve.errors import InvalidImage
from phiserve.vision.data_url import decode_data_url
from phiserve.vision.decode import Header, decode_rgb, read_header
from phiserve.vision.formats import FORMATS
from phiserve.vision.pixels import Crops, cut_crops
from phiserve.vision.sizes import MAX_ASPECT_RATIO, CropPlan

_Result = TypeVar("_Result")

READ = Counter("phiserve_pictures_read", "Pictures received and hashed.")
DECODED = Counter("phiserve_pictures_decoded", "Pictures decoded and cut into crops.")


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """What one picture may be. `max_aspect_ratio` is long side to short side; `formats` are names of `vision.formats`."""

    max_bytes: int = 20 * 2**20
    max_pixels: int = 64_000_000
    max_aspect_ratio: float = MAX_ASPECT_RATIO
    formats: tuple[str, ...] = FORMATS


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A picture as it came: file content, its hash, its header, and its place in the request."""

    content: bytes
    digest: str
    header: Header
    param: str

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as shown."""
        return self.header.size


def picture_key(digest: str, plan: CropPlan, salt: str = "") -> str:
    """The key of vLLM's picture caches: equal exactly when content, crops and tenant are.

    The grid decides the crops, whichever budget led to it. `salt` keeps tenants apart.
    """
    return f"{salt}{digest}-{plan.columns}x{plan.rows}"


class PictureService:
    """Reads and cuts pictures on `workers` threads. Close with `close`."""

    def __init__(self, limits: PictureLimits, workers: int) -> None:
        self._limits = limits
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="phiserve-picture")

    async def read(self, url: str, param: str) -> EncodedPicture:
        """URL -> content, hash and header, nothing decoded. Raises InvalidRequest or InvalidImage naming `param`."""
        return await self._run(lambda: self._read(url, param))

    async def crops(self, picture: EncodedPicture, plan: CropPlan) -> Crops:
        """Decode a picture and cut it by `plan`: uint8 (n, 336, 336, 3). Raises InvalidImage."""
        return await self._run(lambda: _cut(picture, plan))

    def close(self) -> None:
        """Stop the threads; work not yet begun is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _read(self, url: str, param: str) -> EncodedPicture:
        content = decode_data_url(url, max_bytes=self._limits.max_bytes, param=param)
        header = read_header(content, param, self._limits.formats)
        self._check_size(header.size, param)
        READ.inc()
        return EncodedPicture(content, blake3(content).hexdigest(), header, param)

    def _check_size(self, size: tuple[int, int], param: str) -> None:
        width, height = size
        if width * height > self._limits.max_pixels:
            message = f"{param}: the picture has {width} x {height} pixels; the limit is {self._limits.max_pixels}"
            raise InvalidImage(message, param=param, code="image_too_large")
        if max(size) > self._limits.max_aspect_ratio * min(size):
            message = f"{param}: {width} x {height} is too thin; the limit is {self._limits.max_aspect_ratio:g} to 1"
            raise InvalidImage(message, param=param, code="image_too_thin")


def _cut(picture: EncodedPicture, plan: CropPlan) -> Crops:
    crops = cut_crops(decode_rgb(picture.content, picture.header, picture.param), plan)
    DECODED.inc()
    return crops
