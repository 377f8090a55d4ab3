"""A content on its way in: in segments, however it comes, with its hashes."""

import asyncio
import hashlib
import random
from collections.abc import AsyncGenerator, Sequence

import pytest
from blake3 import blake3

from phiserve.errors import RequestTooLarge, StoreFailure
from phiserve.files import draft as module
from phiserve.files.draft import BlobDraft


class Listed:
    """A place that lists what is written to it; `fails`: which segment is not."""

    def __init__(self, fails: int | None = None) -> None:
        self.segments: list[bytes] = []
        self.is_finished = False
        self._fails = fails
        self.may_write = asyncio.Event()
        self.may_write.set()

    async def write(self, name: str, number: int, segment: bytes) -> None:
        """Remember it."""
        await self.may_write.wait()
        assert (name, number) == ("name", len(self.segments))
        if number == self._fails:
            raise StoreFailure("full")
        self.segments.append(segment)

    async def finish(self, name: str) -> None:
        """Remember that too."""
        self.is_finished = True

    def read(self, name: str, num_bytes: int) -> AsyncGenerator[bytes, None]:
        """Nobody reads."""
        raise NotImplementedError

    async def read_part(self, name: str, offset: int, num_bytes: int) -> bytes:
        """Nobody reads."""
        raise NotImplementedError

    async def delete(self, name: str) -> None:
        """Nobody deletes."""

    async def close(self) -> None:
        """Nothing."""


@pytest.mark.parametrize("sizes", [[], [1], [4], [5], [8, 1], [1] * 11, [100], [3, 0, 9]])
def test_segments(sizes: Sequence[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four bytes each, the last of what is left; hashes are those of the whole."""
    monkeypatch.setattr(module, "SEGMENT_BYTES", 4)
    chunks = [random.Random(size).randbytes(size) for size in sizes]
    whole = b"".join(chunks)

    async def run() -> None:
        listed = Listed()
        draft = BlobDraft(listed, "name", 200, "limit", with_md5=True)
        for chunk in chunks:
            await draft.add(chunk)
            assert draft.num_held < 4
        made = await draft.end()
        assert listed.segments == [whole[start : start + 4] for start in range(0, len(whole), 4)]
        assert listed.is_finished
        assert (made.digest, made.num_bytes) == (blake3(whole).hexdigest(), len(whole))
        assert draft.md5 == hashlib.md5(whole, usedforsecurity=False).hexdigest()

    asyncio.run(run())


def test_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told before more is written than may be."""
    monkeypatch.setattr(module, "SEGMENT_BYTES", 4)

    async def run() -> None:
        listed = Listed()
        draft = BlobDraft(listed, "name", 6, "files_max_bytes")
        await draft.add(b"123456")
        with pytest.raises(RequestTooLarge, match=r"6 bytes \(files_max_bytes\)"):
            await draft.add(b"7")
        assert listed.segments == [b"1234"]
        assert draft.md5 is None

    asyncio.run(run())


def test_a_place_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to whoever sends."""
    monkeypatch.setattr(module, "SEGMENT_BYTES", 4)

    async def run() -> None:
        draft = BlobDraft(Listed(fails=1), "name", 100, "limit")
        await draft.add(b"1234")
        with pytest.raises(StoreFailure):
            await draft.add(b"5678")
        await draft.settle()

    asyncio.run(run())


def test_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is being written when its sender is cancelled has ended once the draft has settled."""
    monkeypatch.setattr(module, "SEGMENT_BYTES", 4)

    async def run() -> None:
        listed = Listed()
        listed.may_write.clear()
        draft = BlobDraft(listed, "name", 100, "limit")
        sending = asyncio.create_task(draft.add(b"1234"))
        await asyncio.sleep(0)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        settling = asyncio.create_task(draft.settle())
        await asyncio.sleep(0)
        assert not settling.done()
        assert listed.segments == []
        listed.may_write.set()
        await settling
        assert listed.segments == [b"1234"]

    asyncio.run(run())
