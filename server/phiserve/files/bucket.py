"""Contents of files in a bucket of S3, or of whatever speaks its protocol.

Each segment is an object of its own, `NAME/00000`: it is there whole or not at all, can be seen and removed,
and none has to be held longer than its own request takes. An upload of S3's in several parts, ended by a
crash, would stay where no list shows it.
"""

import logging
import os
import platform
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from datetime import timedelta

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from phiserve.errors import StartupError, StoreFailure
from phiserve.files.blobs import MARKER_NAME, SEGMENT_BYTES, BlobGone, unusable

_LOG = logging.getLogger(__name__)

_TIMEOUT = timedelta(seconds=30)
_RETRY_TIMEOUT = timedelta(seconds=10)
_MAX_RETRIES = 4
"""For one request, and for trying it again where the bucket's server fails or asks for patience."""


class BucketBlobs:
    """Keeps contents in a bucket, below the prefix of its URL."""

    def __init__(self, store: S3Store, place: str) -> None:
        self._store = store
        self._place = place

    @classmethod
    def at(cls, url: str) -> "BucketBlobs":
        """In the bucket of an `s3://` URL.

        Keys, region and another server than Amazon's come from the variables of every client of S3:
        AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL. Raises StartupError.
        """
        try:
            store = S3Store.from_url(
                url,
                client_options={"timeout": _TIMEOUT, "allow_http": True},
                retry_config={"retry_timeout": _RETRY_TIMEOUT, "max_retries": _MAX_RETRIES},
            )
        except BaseError as error:
            raise StartupError(f"Setting files_url: {_first_line(error)}") from None
        return cls(store, url)

    @property
    def name(self) -> str:
        """Its URL."""
        return self._place

    def prepare(self, *, is_new: bool = True) -> None:
        """See whether the bucket lets us list, put, get and delete; it must be there. Raises StartupError."""
        probe = f".probe-{platform.node()}-{os.getpid()}"
        does = "list"
        try:
            next(iter(obstore.list(self._store, chunk_size=1)), None)
            does = "put"
            obstore.put(self._store, probe, b"probe", use_multipart=False)
            does = "get"
            obstore.get(self._store, probe).bytes()
            does = "delete"
            obstore.delete(self._store, probe)
        except (BaseError, FileNotFoundError) as error:
            raise unusable(self._place, f"to {does} objects fails: {_first_line(error)}") from None

    def marker(self) -> str | None:
        """What the object has."""
        with self._failures():
            try:
                return bytes(obstore.get(self._store, MARKER_NAME).bytes()).decode(errors="replace").strip()
            except FileNotFoundError:
                return None

    def mark(self, marker: str) -> None:
        """Put the object."""
        with self._failures():
            obstore.put(self._store, MARKER_NAME, f"{marker}\n".encode(), use_multipart=False)

    async def write(self, name: str, number: int, segment: bytes) -> None:
        """Put one object."""
        with self._failures():
            await obstore.put_async(self._store, _key(name, number), segment, use_multipart=False)

    async def finish(self, name: str) -> None:
        """Each object is durable since it was put."""

    async def read(self, name: str, num_bytes: int) -> AsyncGenerator[bytes, None]:
        """All objects, in their order. Raises BlobGone."""
        for number in range(-(-num_bytes // SEGMENT_BYTES)):
            with self._failures():
                try:
                    found = await obstore.get_async(self._store, _key(name, number))
                    content = await found.bytes_async()
                except FileNotFoundError:
                    raise BlobGone from None
            num_bytes -= len(content)
            yield content.to_bytes()
        if num_bytes:
            raise BlobGone

    async def read_part(self, name: str, offset: int, num_bytes: int) -> bytes:
        """Some of the content, from the objects that have it. Raises BlobGone."""
        parts: list[bytes] = []
        while num_bytes:
            number, start = divmod(offset, SEGMENT_BYTES)
            length = min(num_bytes, SEGMENT_BYTES - start)
            with self._failures():
                try:
                    content = await obstore.get_range_async(
                        self._store, _key(name, number), start=start, length=length
                    )
                except FileNotFoundError:
                    raise BlobGone from None
            if len(content) < length:
                raise BlobGone
            parts.append(content.to_bytes())
            offset, num_bytes = offset + length, num_bytes - length
        return b"".join(parts)

    async def delete(self, name: str) -> None:
        """Remove all objects, whichever there are."""
        with self._failures():
            listed = await obstore.list(self._store, prefix=f"{name}/").collect_async()
            if listed:
                await obstore.delete_async(self._store, [meta["path"] for meta in listed])

    async def close(self) -> None:
        """Connections end with their last use."""

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, FileNotFoundError) as error:  # the latter also where the bucket itself is gone
            _LOG.warning("Files (files_url) failed in %s: %s", self._place, _first_line(error))
            raise StoreFailure("The server's store of files does not work; try again later") from None


def _key(name: str, number: int) -> str:
    return f"{name}/{number:05}"


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300]
