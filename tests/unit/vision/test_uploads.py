"""Uploaded images that are shown again are read only where their pixels are needed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from images import encode, noise
from kept_files import kept, on_files
from phiserve.core import ImagePlaceholder
from phiserve.errors import InvalidRequest, StoreFailure
from phiserve.files.keeping import FileKeeper
from phiserve.media.connector import MediaConnector
from phiserve.media.file_source import UploadedFile
from phiserve.vision import uploads
from phiserve.vision.documents import SHORT_URL
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits
from phiserve.vision.sizes import plan_crops
from phiserve.vision.uploads import KnownUploads
from unit.files.conftest import folder_place

CONTENT = encode(noise(60, 40))
PLAN = plan_crops(60, 40, 1)


@dataclass
class Shelf:
    """A source of files, which tells how often each was read."""

    contents: dict[str, bytes]
    reads: list[str] = field(default_factory=list)
    before_reading: Callable[[], Awaitable[None]] | None = None

    async def find(self, owner: str, file_id: str) -> UploadedFile:
        """As a keeper of files does; what equal files have is kept once."""
        content = self.contents[file_id]

        async def read() -> bytes:
            self.reads.append(file_id)
            if self.before_reading is not None:
                await self.before_reading()
            return content

        return UploadedFile(file_id, "", "", len(content), str(hash(content)), read)


@asynccontextmanager
async def serving(shelf: Shelf) -> AsyncIterator[ImageService]:
    """Images from a shelf."""
    service = ImageService(ImageLimits(), workers=2, connector=MediaConnector(files=shelf))
    yield service
    service.close()


def shown(file_id: str) -> list[ImagePlaceholder]:
    """A request's only image."""
    return [ImagePlaceholder("", "auto", "p0", file_id=file_id)]


@pytest.mark.parametrize("side", [60, 350], ids=["short", "long"])
def test_many_requests_about_a_picture(side: int) -> None:
    """One after the other and at once, also by another file of the same bytes: it is read once."""
    content = encode(noise(side, 250), "BMP")
    assert (len(content) > SHORT_URL) == (side == 350)
    shelf = Shelf({"a": content, "b": content})

    async def run() -> None:
        async with serving(shelf) as service:
            read = [*await asyncio.gather(*(service.read(shown("a")) for _ in range(8)))]
            read += [await service.read(shown(name)) for name in "ab"]
            assert len(shelf.reads) == 1
            (first,), *others = read
            assert {(other.digest, other.size, other.content) for (other,) in others} == {
                (first.digest, first.size, b"")
            }
            plan = plan_crops(*first.size, 1)
            crops = [await service.crops(image, plan) for (image,) in (read[0], read[-1])]
            assert (crops[0] == crops[1]).all()

    asyncio.run(run())


def test_the_pixels_are_read_where_they_are_needed() -> None:
    """Once more then, for all who need them at once; another owner's hash is of its own."""
    shelf = Shelf({"a": CONTENT})

    async def run() -> None:
        async with serving(shelf) as service:
            for salt in ("alice", "bob"):
                await service.read(shown("a"), salt)
            assert shelf.reads == ["a", "a"]
            again = [(await service.read(shown("a"), salt))[0] for salt in ("alice", "alice", "bob")]
            assert len({image.digest for image in again}) == 2
            assert shelf.reads == ["a", "a"]
            await asyncio.gather(*(service.crops(image, PLAN) for image in again))
            assert shelf.reads == ["a"] * 4

    asyncio.run(run())


def test_a_reading_that_fails() -> None:
    """Has its place, whenever it comes; whoever waited for it reads by itself."""

    async def run() -> None:
        async def fail() -> None:
            await asyncio.sleep(0)
            raise StoreFailure("no answer")

        async def deleted() -> None:
            raise InvalidRequest("there is no file", code="file_not_found")

        shelf = Shelf({"a": CONTENT}, before_reading=fail)
        async with serving(shelf) as service:
            results = await asyncio.gather(*(service.read(shown("a")) for _ in "ab"), return_exceptions=True)
            assert [type(result) for result in results] == [StoreFailure] * 2
            shelf.before_reading = None
            await service.read(shown("a"))
            (known,) = await service.read(shown("a"))
            shelf.before_reading = deleted
            with pytest.raises(InvalidRequest) as caught:
                await service.crops(known, PLAN)
            assert (caught.value.param, caught.value.code) == ("p0", "file_not_found")

    asyncio.run(run())


def test_the_longest_unused_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond so many."""
    monkeypatch.setattr(uploads, "MAX_KNOWN_UPLOADS", 2)
    known = KnownUploads()
    for name in "ab":
        known.remember(name, None, name * 2)
    assert known.digest("a", None) == "aa"
    known.remember("c", None, "cc")
    assert [known.digest(name, None) for name in "abc"] == ["aa", None, "cc"]
    assert known.digest("a", "alice") is None


def test_a_keeper_s_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are known by their contents, which are kept once."""

    async def use(keeper: FileKeeper) -> None:
        first, second = await kept(keeper, CONTENT), await kept(keeper, CONTENT)
        service = ImageService(ImageLimits(), workers=2, connector=MediaConnector(files=keeper))
        (image,) = await service.read(shown(first.id))
        monkeypatch.setattr(keeper, "read", None)
        assert [(again.digest, again.size) for again in await service.read(shown(second.id))] == [
            (image.digest, image.size)
        ]
        service.close()

    on_files(folder_place(tmp_path, f"sqlite:///{tmp_path / 'state.db'}"), use)
