"""What a request refers to, loaded from the store: no more than a body may have, and held as bodies are."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from phiserve.api.body_budget import BodyBudget, BodyShare
from phiserve.errors import InvalidRequest
from phiserve.store.interface import StoredItem
from phiserve.store.tables import size


class HistoryShare:
    """What one request's history holds of the budget of bodies. Make it with `history_share`."""

    def __init__(self, share: BodyShare, max_bytes: int) -> None:
        self._share = share
        self._max_bytes = max_bytes
        self._num_bytes = 0

    def admit(self, num_bytes: int) -> None:
        """Count bytes that are about to be loaded.

        Raises InvalidRequest, without a place, for more than it may have, and Overloaded for what does not
        fit now.
        """
        self._check(self._num_bytes + num_bytes)
        self._share.add(num_bytes)
        self._num_bytes += num_bytes

    def check_with(self, own: Iterable[StoredItem]) -> None:
        """Raises InvalidRequest where what is loaded is too much beside a request's own items."""
        if self._num_bytes:
            self._check(self._num_bytes + size(*(item.payload for item in own)))

    def _check(self, num_bytes: int) -> None:
        if num_bytes > self._max_bytes:
            reason = (
                f"with what is stored before it, the input has {num_bytes} bytes; the limit is "
                f"{self._max_bytes}, as for a body (max_body_bytes)"
            )
            raise InvalidRequest(reason, code="conversation_too_large")


@contextmanager
def history_share(bodies: BodyBudget, max_bytes: int) -> Iterator[HistoryShare]:
    """A share for a history of at most `max_bytes`, until the context is left: then it is understood."""
    with BodyShare(bodies) as share:
        yield HistoryShare(share, max_bytes)
