"""The image pipeline as a service: everything that blocks runs on a thread pool of its own, never on the
event loop.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from blake3 import blake3
from cachetools import LRUCache
from prometheus_client import Counter

from phiserve.codecs.decode import Header, decode_pixels, read_header
from phiserve.media.connector import ImageSources, scheme_of
from phiserve.media.data_url import decode_data_url
from phiserve.vision.crops import Crops, compile_ahead, cut_crops
from phiserve.vision.limits import ImageLimits, RequestMeter
from phiserve.vision.sizes import CropPlan

_Result = TypeVar("_Result")

SHORT_URL = 256 * 2**10
"""Characters or bytes up to which images are decoded and hashed on the event loop, before a thread would have
woken up."""

MOST_HEADERS = 4096
"""Images whose headers are kept, by hash: what is shown again is not taken apart again."""

SHARED_S = 0.5
"""How long the crops of an image stay for others who are just about to ask for them."""

READ = Counter("phiserve_images_read", "Images received and hashed.")
DECODED = Counter("phiserve_images_decoded", "Images decoded and cut into crops.")


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image as it came: file content, its hash, its header, and its place in the request."""

    content: bytes
    digest: str
    header: Header
    param: str

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as shown."""
        return self.header.size


@dataclass(slots=True)
class _SharedWork:
    """Crops being cut, and how many wait for them."""

    work: asyncio.Future[Crops]
    waiting: int = 0


def image_key(digest: str, plan: CropPlan, salt: str = "") -> str:
    """The key of vLLM's image caches: equal exactly when content, crops and tenant are.

    The grid decides the crops, whichever max_crops led to it. `salt` keeps tenants apart.
    """
    return f"{salt}{digest}-{plan.columns}x{plan.rows}"


class ImageService:
    """Reads and cuts images on `workers` threads. Close with `close`."""

    def __init__(self, limits: ImageLimits, workers: int, sources: ImageSources | None = None) -> None:
        self._limits = limits
        self._sources = sources or ImageSources()
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="phiserve-image")
        self._cutting: dict[tuple[str, str], _SharedWork] = {}
        self._headers: LRUCache[str, Header] = LRUCache(MOST_HEADERS)
        self._lock = threading.Lock()

    async def compile_ahead(self) -> None:
        """Compile what images are cut with, on one of the threads."""
        await self._run(compile_ahead)

    async def read(self, images: Iterable[tuple[str, str]]) -> list[EncodedImage]:
        """Read all images of a request, (URL, param) each: content, hash and header, nothing decoded.

        Raises InvalidRequest or InvalidImage; if several are bad, the first is named. Bytes that have to be
        fetched are counted as they come, everything else in the images' order, so that the same request is
        always refused for the same one.
        """
        meter = RequestMeter(self._limits)
        sources = list(images)
        if len(sources) > 1:
            results = await asyncio.gather(
                *(self._read(url, param, meter) for url, param in sources), return_exceptions=True
            )
        else:  # without a task, which takes nearly as long as to read an image that was seen before
            results = [await self._read(url, param, meter) for url, param in sources]
        read: list[EncodedImage] = []
        for (url, param), result in zip(sources, results, strict=True):
            if isinstance(result, BaseException):
                raise result
            meter.add_bytes(len(result.content) if scheme_of(url) == "data" else 0, param)
            meter.add_pixels(result.size, param)
            read.append(result)
        return read

    async def crops(self, image: EncodedImage, plan: CropPlan) -> Crops:
        """Decode an image and cut it by `plan`: uint8 (n, 336, 336, 3), not to be changed. Raises
        InvalidImage.

        Requests that show the same image at once share the work.
        """
        key = image_key(image.digest, plan), image.param  # an error names the image's place
        if (shared := self._cutting.get(key)) is None:
            work = asyncio.get_running_loop().run_in_executor(self._pool, _cut, image, plan)
            shared = self._cutting[key] = _SharedWork(work)
            work.add_done_callback(lambda done: self._forget_later(key, shared))
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.work)
        except asyncio.CancelledError:
            if shared.waiting == 1:  # nobody is left who wants it: what has not begun never does
                self._forget(key, shared)
                shared.work.cancel()
            raise
        finally:
            shared.waiting -= 1

    def close(self) -> None:
        """Stop the threads; work not yet begun is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _forget_later(self, key: tuple[str, str], shared: "_SharedWork") -> None:
        """Once those who wait have sent the image, the engine has it."""
        if not shared.work.cancelled():
            shared.work.exception()  # looked at, in case that nobody waits any more
        asyncio.get_running_loop().call_later(SHARED_S, self._forget, key, shared)

    def _forget(self, key: tuple[str, str], shared: "_SharedWork") -> None:
        if self._cutting.get(key) is shared:
            del self._cutting[key]

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _read(self, url: str, param: str, meter: RequestMeter) -> EncodedImage:
        if scheme_of(url) == "data":
            if len(url) > SHORT_URL:
                return await self._run(lambda: self._describe(self._decode_url(url, param), param))
            content = self._decode_url(url, param)
        else:
            content = await self._sources.fetch(
                url, param, self._limits.max_bytes, partial(meter.add_bytes, param=param)
            )
        digest = _digest(content) if len(content) < SHORT_URL else None
        if digest in self._headers:
            return self._describe(content, param, digest)
        return await self._run(lambda: self._describe(content, param, digest))

    def _decode_url(self, url: str, param: str) -> bytes:
        return decode_data_url(url, max_bytes=self._limits.max_bytes, param=param)

    def _describe(self, content: bytes, param: str, digest: str | None = None) -> EncodedImage:
        digest = digest or _digest(content)
        with self._lock:
            header = self._headers.get(digest)
        if header is None:
            header = read_header(content, param, self._limits.formats)
            with self._lock:
                self._headers[digest] = header
        self._limits.check_size(header.size, param)
        READ.inc()
        return EncodedImage(content, digest, header, param)


def _digest(content: bytes) -> str:
    return blake3(content).hexdigest()


def _cut(image: EncodedImage, plan: CropPlan) -> Crops:
    crops = cut_crops(decode_pixels(image.content, image.header, image.param), plan)
    DECODED.inc()
    return crops
