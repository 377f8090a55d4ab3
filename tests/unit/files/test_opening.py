"""What keeps files is there where the settings ask for it, and something is stored."""

import asyncio
from pathlib import Path

from phiserve.files.limits import FileLimits
from phiserve.files.opening import open_files
from phiserve.store.limits import StoreLimits
from phiserve.store.opening import open_store


def test_opening(tmp_path: Path) -> None:
    """Beside the state, unless files or the state are off."""
    store = open_store(f"sqlite:///{tmp_path / 'state.db'}", StoreLimits())
    assert store is not None
    assert open_files("off", FileLimits(), store) is None
    assert open_files(None, FileLimits(), None) is None
    assert {path.name for path in tmp_path.iterdir()} == {"state.db"}
    limits = FileLimits(max_bytes=7)
    keeper = open_files(None, limits, store)
    assert keeper is not None
    assert keeper.limits == limits
    assert (tmp_path / "files").is_dir()
    asyncio.run(store.close())
