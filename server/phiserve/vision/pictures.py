"""The picture pipeline as a service: everything that blocks runs on a thread pool of its own, never on the event loop."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from blake3 import blake3
from prometheus_client import Counter

from phiserve.vision.data_url import decode_data_url
from phiserve.vision.decode import Header, decode_pixels, read_header
from phiserve.vision.limits import PictureLimits, RequestMeter
from phiserve.vision.pixels import Crops, compile_ahead, cut_crops
from phiserve.vision.sizes import CropPlan
from phiserve.vision.sources import PictureSources, scheme_of

_Result = TypeVar("_Result")

READ = Counter("phiserve_pictures_read", "Pictures received and hashed.")
DECODED = Counter("phiserve_pictures_decoded", "Pictures decoded and cut into crops.")


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

    def __init__(self, limits: PictureLimits, workers: int, sources: PictureSources | None = None) -> None:
        self._limits = limits
        self._sources = sources or PictureSources()
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="phiserve-picture")

    def compile_ahead(self) -> None:
        """Begin to compile what pictures are cut with, on one of the threads."""
        self._pool.submit(compile_ahead)

    async def read(self, pictures: Iterable[tuple[str, str]]) -> list[EncodedPicture]:
        """Read all pictures of a request, (URL, param) each: content, hash and header, nothing decoded.

        Raises InvalidRequest or InvalidImage; if several are bad, the first is named. Bytes that have to be fetched are counted
        as they come, everything else in the pictures' order, so that the same request is always refused for the same one.
        """
        meter = RequestMeter(self._limits)
        sources = list(pictures)
        results = await asyncio.gather(*(self._read(url, param, meter) for url, param in sources), return_exceptions=True)
        read: list[EncodedPicture] = []
        for (url, param), result in zip(sources, results, strict=True):
            if isinstance(result, BaseException):
                raise result
            meter.add_bytes(len(result.content) if scheme_of(url) == "data" else 0, param)
            meter.add_pixels(result.size, param)
            read.append(result)
        return read

    async def crops(self, picture: EncodedPicture, plan: CropPlan) -> Crops:
        """Decode a picture and cut it by `plan`: uint8 (n, 336, 336, 3). Raises InvalidImage."""
        return await self._run(lambda: _cut(picture, plan))

    def close(self) -> None:
        """Stop the threads; work not yet begun is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _read(self, url: str, param: str, meter: RequestMeter) -> EncodedPicture:
        if scheme_of(url) == "data":
            return await self._run(lambda: self._describe(self._decode_url(url, param), param))
        content = await self._sources.fetch(url, param, self._limits.max_bytes, partial(meter.add_bytes, param=param))
        return await self._run(lambda: self._describe(content, param))

    def _decode_url(self, url: str, param: str) -> bytes:
        return decode_data_url(url, max_bytes=self._limits.max_bytes, param=param)

    def _describe(self, content: bytes, param: str) -> EncodedPicture:
        header = read_header(content, param, self._limits.formats)
        self._limits.check_size(header.size, param)
        READ.inc()
        return EncodedPicture(content, blake3(content).hexdigest(), header, param)


def _cut(picture: EncodedPicture, plan: CropPlan) -> Crops:
    crops = cut_crops(decode_pixels(picture.content, picture.header, picture.param), plan)
    DECODED.inc()
    return crops
