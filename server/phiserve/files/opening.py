"""Opens what keeps files, where the settings ask for it."""

from phiserve.files.keeping import FileKeeper
from phiserve.files.limits import FileLimits
from phiserve.files.location import locate_blobs
from phiserve.files.marked import settled
from phiserve.store.sql_store import SqlStore


def open_files(url: str | None, limits: FileLimits, store: SqlStore | None) -> FileKeeper | None:
    """What keeps files at a URL (None: beside the state); None where it is `off`, or nothing is stored.

    Sees whether the place can be used, and is the state's, before it returns. Raises StartupError.
    """
    if store is None:
        return None
    place = locate_blobs(url, store.file)
    return None if place is None else FileKeeper(store.files, settled(place, store.files), limits)
