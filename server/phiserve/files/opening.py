"""Opens what keeps files, where the settings ask for it."""

from phiserve.files.keeping import FileKeeper
from phiserve.files.limits import FileLimits
from phiserve.files.location import open_blobs
from phiserve.store.sql_store import SqlStore


def open_files(url: str | None, limits: FileLimits, store: SqlStore | None) -> FileKeeper | None:
    """What keeps files at a URL (None: beside the state); None where it is `off`, or nothing is stored.

    Sees whether the place can be used before it returns. Raises StartupError.
    """
    if store is None:
        return None
    blobs = open_blobs(url, store.file)
    return None if blobs is None else FileKeeper(store.files, blobs, limits)
