"""Reads and cuts images; what takes long runs on a thread pool of its own, never on the event loop.

Errors raised below name no image; `read` and `crops` attach the path of the image at fault.
"""

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from cachetools import LRUCache
from prometheus_client import Counter

from phiserve import codecs
from phiserve.codecs import ParsedImage
from phiserve.core import ImagePlaceholder
from phiserve.errors import errors_at
from phiserve.media.byte_limit import too_many_bytes
from phiserve.media.connector import MediaConnector, scheme_of
from phiserve.media.data_url import decode_data_url
from phiserve.turns import NOBODY, Line
from phiserve.vision.crops import Crops
from phiserve.vision.decoding import Decoder, Parse, ThreadDecoder
from phiserve.vision.documents import (
    PARSING_COST,
    SHORT_URL,
    DocumentReader,
    FileOwner,
    PagePlaceholder,
    ReadImagePlaceholder,
)
from phiserve.vision.fair_pool import FairPool
from phiserve.vision.faults import digest_of, failures_at, faults_logged
from phiserve.vision.limits import ImageLimits, RequestMeter
from phiserve.vision.sizes import CropPlan
from phiserve.vision.uploads import KnownUploads
from phiserve.vision.uuids import KnownUuids

MAX_KNOWN_IMAGES = 4096
"""Number of images whose sizes are kept, by hash: what is shown again is not parsed again."""

SHARED_S = 0.5
"""Seconds for which finished crops are kept for concurrent requests."""

READ = Counter("phiserve_images_read", "Images received and hashed.")
DECODED = Counter("phiserve_images_decoded", "Images decoded and cut into crops.")


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image as it was received, not decoded.

    `content`: the file's content; empty where `later` reads it, should it have to be decoded. `digest`: its
    BLAKE3 hash in hexadecimal, keyed by the owner's cache salt where there is one, so that what is kept by
    the hash serves that owner alone. `size`: (width, height) as shown. `param`: the path of the image's value
    in the request. `line`: where it waits for a thread. `parsed`: None if the size was known by the hash, or
    the file was parsed in another process; it is then parsed once more if it has to be decoded. `page`: of a
    PDF, counted from 0; it is drawn where an image is decoded.
    """

    content: bytes = field(repr=False)
    digest: str
    size: tuple[int, int]
    param: str
    line: Line = NOBODY
    parsed: ParsedImage | None = None
    page: int | None = None
    later: Callable[[], Awaitable[bytes]] | None = field(default=None, repr=False)


@dataclass(slots=True)
class _SharedWork:
    """The crops of an image being cut, and the number of callers who wait for them."""

    work: asyncio.Future[Crops]
    waiting: int = 0


def image_key(digest: str, plan: CropPlan) -> str:
    """The key of vLLM's image caches: equal exactly if content and crops are.

    The grid decides the crops, whichever max_crops led to it.
    """
    return f"{digest}-{plan.columns}x{plan.rows}"


class ImageService:
    """Reads and cuts images on `workers` threads. End it with `close`.

    `decoder` does what concerns a file's content; by default that is done in these threads, with `parse`.
    `documents` reads PDFs, on the same threads; `with_page_text`: their pages' text too.
    """

    def __init__(
        self,
        limits: ImageLimits,
        workers: int,
        connector: MediaConnector | None = None,
        parse: Parse = codecs.parse,
        decoder: Decoder | None = None,
        with_page_text: bool = False,
    ) -> None:
        self.limits = limits
        self._connector = connector or MediaConnector()
        self._decoder = decoder or ThreadDecoder(parse, limits.formats)
        self._pool = FairPool(workers, "phiserve-image")
        self.documents = DocumentReader(limits, self._connector, self._decoder, self._pool, with_page_text)
        self._cutting: dict[str, _SharedWork] = {}
        self._sizes: LRUCache[str, tuple[int, int]] = LRUCache(MAX_KNOWN_IMAGES)
        self._uuids = KnownUuids()
        self._uploads = KnownUploads()
        self._lock = threading.Lock()

    async def compile_ahead(self) -> None:
        """Get ready to decode, on one of the threads."""
        await self._pool.run(NOBODY, 0, self._decoder.start)

    async def read(
        self,
        placeholders: Sequence[ImagePlaceholder],
        cache_salt: str | None = None,
        line: Line = NOBODY,
        owner_name: str = "",
    ) -> list[EncodedImage]:
        """Read all images of a request: content, hash and size, nothing decoded.

        An image that was seen before is known again only under an equal `cache_salt`. `line` is where
        images wait for a thread, `owner_name` whose uploaded files they may be.
        Raises InvalidRequest, InvalidImage or EngineFailure; if several are bad, the first is named. Bytes
        that have to be fetched are counted as they come, everything else in the images' order, so that the
        same request is always refused for the same one.
        """
        meter, owner = RequestMeter(self.limits), FileOwner(line, cache_salt, owner_name)
        if len(placeholders) > 1:
            results = await asyncio.gather(
                *(self._read(placeholder, meter, owner) for placeholder in placeholders),
                return_exceptions=True,
            )
        else:  # without a task, which takes nearly as long as to read an image that was seen before
            results = [await self._read(placeholder, meter, owner) for placeholder in placeholders]
        read: list[EncodedImage] = []
        for placeholder, result in zip(placeholders, results, strict=True):
            if isinstance(result, BaseException):
                raise result
            with errors_at(placeholder.param):
                meter.add_bytes(_uncounted_bytes(placeholder, result, read))
                meter.add_pixels(result.size)
            self._uuids.check(placeholder, result.digest, cache_salt)
            read.append(result)
        return read

    async def crops(self, image: EncodedImage, plan: CropPlan) -> Crops:
        """Decode an image and cut it by `plan`: uint8 (n, 336, 336, 3), not to be changed.

        Requests that show the same image at once share the work. Raises InvalidImage or EngineFailure.
        """
        key = image_key(image.digest, plan)
        if (shared := self._cutting.get(key)) is None:
            work = asyncio.ensure_future(self._cut_on_thread(image, plan))
            shared = self._cutting[key] = _SharedWork(work)
            work.add_done_callback(lambda done: self._forget_later(key, shared))
        shared.waiting += 1
        try:
            with failures_at(image.param):
                return await asyncio.shield(shared.work)
        except asyncio.CancelledError:
            if shared.waiting == 1:  # nobody is left who wants it: what has not begun never does
                self._forget(key, shared)
                shared.work.cancel()
            raise
        finally:
            shared.waiting -= 1

    def close(self) -> None:
        """Stop the threads and what decodes; work not yet begun is dropped."""
        self._decoder.close()
        self._pool.close()

    def _forget_later(self, key: str, shared: _SharedWork) -> None:
        """Forget finished work after SHARED_S: once those who wait have sent the image, the engine has it."""
        if not shared.work.cancelled():
            shared.work.exception()  # retrieved, in case that nobody waits any more
        asyncio.get_running_loop().call_later(SHARED_S, self._forget, key, shared)

    def _forget(self, key: str, shared: _SharedWork) -> None:
        if self._cutting.get(key) is shared:
            del self._cutting[key]

    async def _read(
        self, placeholder: ImagePlaceholder, meter: RequestMeter, owner: FileOwner
    ) -> EncodedImage:
        url, param = placeholder.url, placeholder.param
        if isinstance(placeholder, PagePlaceholder):
            return _page_image(placeholder, owner.line)
        with failures_at(param):
            if len(url) > SHORT_URL and scheme_of(url) == "data":
                describe = partial(self._describe_url, url, param, owner)
                return await self._pool.run(owner.line, len(url) * PARSING_COST, describe)
            if placeholder.file_id is not None:
                return await self._read_uploaded(placeholder.file_id, param, meter, owner)
            return await self._described(await self._content(placeholder, meter, owner), param, owner)

    async def _read_uploaded(
        self, file_id: str, param: str, meter: RequestMeter, owner: FileOwner
    ) -> EncodedImage:
        """An uploaded image; its content is read only if it is not known from before."""
        most, uploads, salt = self.limits.max_bytes, self._uploads, owner.cache_salt
        file = await self._connector.find_uploaded(owner.name, file_id, most, meter.add_bytes)
        read = partial(self._connector.read_uploaded, file, owner.line)
        async with uploads.turn(file.content, salt):
            if (digest := uploads.digest(file.content, salt)) and (size := self._known_size(digest)):
                return self._accept(EncodedImage(b"", digest, size, param, owner.line, later=read))
            image = await self._described(await read(), param, owner)
            uploads.remember(file.content, salt, image.digest)
            return image

    async def _described(self, content: bytes, param: str, owner: FileOwner) -> EncodedImage:
        """An image whose content is here; on a thread where that takes long."""
        digest = None if len(content) >= SHORT_URL else digest_of(content, owner.cache_salt)
        if digest is not None and (size := self._known_size(digest)):
            return self._accept(EncodedImage(content, digest, size, param, owner.line))
        describe = partial(self._describe, content, param, owner, digest)
        return await self._pool.run(owner.line, len(content) * PARSING_COST, describe)

    async def _content(self, placeholder: ImagePlaceholder, meter: RequestMeter, owner: FileOwner) -> bytes:
        """An image's file, from the request or the web. Raises InvalidRequest, InvalidImage or Overloaded."""
        most, url = self.limits.max_bytes, placeholder.url
        if isinstance(placeholder, ReadImagePlaceholder):
            if len(placeholder.content) > most:
                raise too_many_bytes(most)
            return placeholder.content
        if scheme_of(url) == "data":
            return decode_data_url(url, max_bytes=most)
        return await self._connector.fetch(url, most, meter.add_bytes, owner.line)

    def _describe_url(self, url: str, param: str, owner: FileOwner) -> EncodedImage:
        return self._describe(decode_data_url(url, max_bytes=self.limits.max_bytes), param, owner)

    def _describe(
        self, content: bytes, param: str, owner: FileOwner, digest: str | None = None
    ) -> EncodedImage:
        """Parse an image unless its size is known by its hash. Raises InvalidImage or EngineFailure."""
        digest = digest or digest_of(content, owner.cache_salt)
        if size := self._known_size(digest):
            return self._accept(EncodedImage(content, digest, size, param, owner.line))
        with faults_logged(content):
            size, parsed = self._decoder.open(content)
        with self._lock:
            self._sizes[digest] = size
        return self._accept(EncodedImage(content, digest, size, param, owner.line, parsed))

    def _accept(self, image: EncodedImage) -> EncodedImage:
        """Count an image that has been read, and return it. Raises InvalidImage beyond the limits."""
        self.limits.check_size(image.size)
        READ.inc()
        return image

    def _known_size(self, digest: str) -> tuple[int, int] | None:
        """The size of an image that was parsed before, if it is still kept. May be called on any thread."""
        with self._lock:
            return self._sizes.get(digest)

    async def _cut_on_thread(self, image: EncodedImage, plan: CropPlan) -> Crops:
        content = image.content if image.later is None else await image.later()
        cut = partial(self._cut, content, image, plan)
        return await self._pool.run(image.line, math.prod(image.size), cut)

    def _cut(self, content: bytes, image: EncodedImage, plan: CropPlan) -> Crops:
        with faults_logged(content, "image" if image.page is None else "PDF"):
            if image.page is None:
                crops = self._decoder.crops(content, math.prod(image.size), plan, image.parsed)
            else:
                crops = self._decoder.draw_page(content, image.page, plan)
        DECODED.inc()
        return crops


def _page_image(placeholder: PagePlaceholder, line: Line) -> EncodedImage:
    """A page of a PDF that has been read already. It is known again by the PDF's hash and its number."""
    READ.inc()
    return EncodedImage(
        content=placeholder.content,
        digest=f"{placeholder.digest}p{placeholder.page}",
        size=placeholder.size,
        param=placeholder.param,
        line=line,
        page=placeholder.page,
    )


def _uncounted_bytes(
    placeholder: ImagePlaceholder, image: EncodedImage, before: Sequence[EncodedImage]
) -> int:
    """Bytes that were not counted as they came: an image's in the request, a PDF's with its first page."""
    if image.page is not None:
        return 0 if before and before[-1].content is image.content else len(image.content)
    is_here = isinstance(placeholder, ReadImagePlaceholder) or scheme_of(placeholder.url) == "data"
    return len(image.content) if is_here else 0
