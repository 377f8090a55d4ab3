"""Opens the store that the settings ask for."""

from phiserve.store.connections import Connections
from phiserve.store.limits import StoreLimits
from phiserve.store.location import locate
from phiserve.store.schema import prepare
from phiserve.store.sql_store import SqlStore


def open_store(url: str | None, limits: StoreLimits) -> SqlStore | None:
    """The store at a URL (None: the user's own file), its tables made; None where it is `off`.

    Talks to the database before it returns, without an event loop: for the start of a server. Raises
    StartupError. Connections for serving are made at the first call.
    """
    location = locate(url)
    if location is None:
        return None
    prepare(location)
    return SqlStore(Connections(location), limits)
