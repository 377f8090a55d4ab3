"""The room that is kept for a content while it comes."""

from pathlib import Path
from typing import Any

import pytest

from kept_files import Place, in_folder, on_files
from phiserve.errors import InvalidRequest
from phiserve.files.blobs import SEGMENT_BYTES
from phiserve.files.keeping import FileKeeper
from phiserve.files.limits import BESIDE_BYTES
from phiserve.files.room import HeldRoom

MIB = 2**20


@pytest.mark.parametrize(
    ("announced", "begun", "come", "held"),
    [
        (0, 0, [(1, 1), (SEGMENT_BYTES, SEGMENT_BYTES)], 2),
        (0, 0, [(SEGMENT_BYTES, SEGMENT_BYTES), (5 * MIB, 10 * MIB), (9 * MIB, 10 * MIB)], 2),
        (9 * MIB, 9 * MIB, [(9 * MIB, 9 * MIB)], 0),
        (9 * MIB, 9 * MIB, [(10 * MIB, 20 * MIB), (16 * MIB, 20 * MIB)], 1),
        (99 * MIB, 30 * MIB, [(30 * MIB, 30 * MIB)], 0),
        (0, 0, [(17 * MIB, 30 * MIB)], 1),
    ],
)
def test_what_is_kept(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    announced: int,
    begun: int,
    come: list[tuple[int, int]],
    held: int,
) -> None:
    """What was announced, then twice what has come of a large content; the store is asked as seldom."""

    async def use(keeper: FileKeeper) -> None:
        room = HeldRoom(keeper.records, "name", "", 30 * MIB, 10**9)
        await room.begin(announced)
        assert room.held_bytes == begun
        asked, hold_room = 0, keeper.records.hold_room

        async def counted(*arguments: Any) -> int:
            nonlocal asked
            asked += 1
            return await hold_room(*arguments)

        monkeypatch.setattr(keeper.records, "hold_room", counted)
        for num_bytes, kept in come:
            await room.hold(num_bytes)
            assert room.held_bytes == kept
        assert asked == held

    on_files(place(tmp_path), use)


def test_refusals(tmp_path: Path) -> None:
    """At its beginning, where a body is so long that what comes beside its file can't be why; else later."""

    async def use(keeper: FileKeeper) -> None:
        for announced, is_refused in ((MIB + BESIDE_BYTES + 1, True), (MIB + BESIDE_BYTES, False)):
            room = HeldRoom(keeper.records, f"{announced}", "", 30 * MIB, MIB)
            if is_refused:
                with pytest.raises(InvalidRequest, match="no room is left for"):
                    await room.begin(announced)
                continue
            await room.begin(announced)
            await room.hold(MIB)
            with pytest.raises(InvalidRequest, match=f"no room is left for {MIB + 1} bytes"):
                await room.hold(MIB + 1)
            assert room.held_bytes == MIB

    on_files(place(tmp_path), use)


def place(folder: Path) -> Place:
    """Files in a folder."""
    return Place(f"sqlite:///{folder / 'state.db'}", f"file://{folder}/files", in_folder(folder / "files"))
