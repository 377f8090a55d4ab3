"""Killed processes: what was acknowledged is there and whole, what was not leaves nothing behind."""

import random
import subprocess
import sys
import time

import pytest

import file_process
from file_process import content
from kept_files import Place, content_of, on_files
from phiserve.files.keeping import FileKeeper
from phiserve.store.uploads import GRACE_S

SCRIPT = file_process.__file__
ROUNDS = 4


def start(*arguments: str) -> subprocess.Popen[str]:
    """A process that keeps files."""
    return subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, SCRIPT, *arguments], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("what", ["keep", "upload"])
def test_killed(shared_place: Place, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At random moments, two at once, which have equal contents: whatever they were doing."""
    chance = random.Random(7)
    acknowledged: list[str] = []
    for n in range(ROUNDS):
        writers = [start(what, shared_place.state_url, shared_place.files_url, f"round {n}") for _ in "ab"]
        for writer in writers:
            assert writer.stdout is not None
            acknowledged += [writer.stdout.readline().strip() for _ in range(chance.randint(1, 3))]
        time.sleep(chance.uniform(0, 0.1))  # anywhere in a file
        for writer in writers:
            writer.kill()
            assert writer.stdout is not None
            acknowledged += writer.stdout.read().split()
            writer.communicate()
    assert "" not in acknowledged
    ended = time.time()

    async def check(keeper: FileKeeper) -> None:
        monkeypatch.setattr("time.time", lambda: ended + 3600 + GRACE_S)  # uploads have expired by then
        await keeper.clear_away(stale_s=0)
        page = await keeper.records.page("", None, None, 10_000, "asc")
        assert page is not None
        assert {*acknowledged} <= {file.id for file in page.files}
        assert len(page.files) - len(acknowledged) <= 2 * ROUNDS  # done, and killed before it could say so
        for file in page.files:
            name, _, number = file.filename.rpartition(" ")
            assert await content_of(keeper, file) == content(name, int(number))
        segments = {file.blob for file in page.files}
        assert {blob_of(name) for name in shared_place.contents()} == segments
        assert len(segments) == len({file.filename for file in page.files})
        for file in page.files:
            await keeper.delete("", file.id)
        await keeper.clear_away()
        assert shared_place.contents() == []

    on_files(shared_place, check)


def blob_of(path: str) -> str:
    """The content that a file in a folder, or an object in a bucket, belongs to."""
    return max(path.split("/"), key=len)
