"""Files to keep, and what keeps them for as long as a test takes: on a disk, in a bucket of moto's server."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from phiserve.files.blobs import MARKER_NAME
from phiserve.files.keeping import FileKeeper, NewFile
from phiserve.files.limits import FileLimits
from phiserve.files.opening import open_files
from phiserve.store.files import StoredFile
from phiserve.store.limits import StoreLimits
from phiserve.store.opening import open_store

_Result = TypeVar("_Result")

IMAGE_FILE = NewFile("vision", "a.png", "image/png")


@dataclass(frozen=True, slots=True)
class Place:
    """Where files are kept, and what is known of them. `bucket`: the folder's own objects in a bucket."""

    state_url: str
    files_url: str
    contents: Callable[[], list[str]]
    """Names of all that is kept of contents, whatever it is; not the place's marker."""


def in_folder(folder: Path) -> Callable[[], list[str]]:
    """Names of all files below a folder but its marker."""
    return lambda: sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.name != MARKER_NAME
    )


async def kept(keeper: FileKeeper, content: bytes, owner: str = "", new: NewFile = IMAGE_FILE) -> StoredFile:
    """A file of a content that comes in pieces of uneven size."""
    async with keeper.receiving(owner, keeper.limits.max_bytes) as draft:
        for piece in pieces(content):
            await draft.add(piece)
        return await keeper.keep(owner, new, await draft.end())


def pieces(content: bytes, size: int = 700_001) -> Iterator[bytes]:
    """A content cut."""
    return (content[start : start + size] for start in range(0, len(content), size))


async def content_of(keeper: FileKeeper, file: StoredFile) -> bytes:
    """A file's content."""
    async with aclosing(keeper.read(file)) as parts:
        return b"".join([part async for part in parts])


def on_files(
    place: Place, use: Callable[[FileKeeper], Awaitable[_Result]], limits: FileLimits | None = None
) -> _Result:
    """Use what keeps files at a place, in an event loop of its own, and close it; nothing is tended."""

    async def run() -> _Result:
        store = open_store(place.state_url, StoreLimits())
        keeper = open_files(place.files_url, limits or FileLimits(), store)
        assert store is not None
        assert keeper is not None
        try:
            return await use(keeper)
        finally:
            await keeper.close()
            await store.close()

    return asyncio.run(run())
