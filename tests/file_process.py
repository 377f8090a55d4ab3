"""A process of its own that keeps files, or sends them in parts, and prints what has been acknowledged to it.

`keep STATE_URL FILES_URL NAME`: files without end, whose contents depend on NAME and their number, each kept
twice. `upload STATE_URL FILES_URL NAME`: the same in two parts each.
"""

import asyncio
import random
import sys
from itertools import count

from kept_files import kept, pieces
from phiserve.files.keeping import FileKeeper, NewFile
from phiserve.files.limits import FileLimits
from phiserve.files.opening import open_files
from phiserve.files.uploads import Uploads
from phiserve.store.limits import StoreLimits
from phiserve.store.opening import open_store

BYTES = 5 * 2**20
"""More than what is written at a time."""


def content(name: str, number: int) -> bytes:
    """What a file's name says that is in it."""
    return random.Random(f"{name} {number}").randbytes(BYTES)


async def keep(keeper: FileKeeper, name: str) -> None:
    """Keep files until the process is ended."""
    for number in count():
        new = NewFile("user_data", f"{name} {number}", "")
        for _ in range(2):
            file = await kept(keeper, content(name, number), new=new)
            print(file.id, flush=True)  # noqa: T201


async def upload(keeper: FileKeeper, name: str) -> None:
    """Send files in parts until the process is ended."""
    uploads = Uploads(keeper)
    for number in count():
        begun = await uploads.create("", NewFile("user_data", f"{name} {number}", ""), BYTES)
        part_ids = []
        for piece in pieces(content(name, number), BYTES // 2):
            async with keeper.receiving("", BYTES) as draft:
                await draft.add(piece)
                part_id = await uploads.add_part("", begun.id, await draft.end())
                assert part_id is not None
                part_ids.append(part_id)
        completed = await uploads.complete("", begun.id, part_ids, None)
        assert completed is not None
        print(completed[0].file, flush=True)  # noqa: T201


async def main() -> None:
    """Do what the arguments say."""
    what, state_url, files_url, name = sys.argv[1:]
    store = open_store(state_url, StoreLimits())
    keeper = open_files(files_url, FileLimits(), store)
    assert keeper is not None
    await (keep(keeper, name) if what == "keep" else upload(keeper, name))


if __name__ == "__main__":
    asyncio.run(main())
