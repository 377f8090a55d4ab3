"""Work on many pieces leaves the event loop to others."""

import asyncio
import threading

import pytest

from phiserve.decisions.off_loop import MANY, off_loop


@pytest.mark.parametrize(("num_pieces", "on_loop"), [(MANY - 1, True), (MANY, False)])
def test_where_it_is_done(num_pieces: int, on_loop: bool) -> None:
    """A few at once, many on a thread."""
    thread = asyncio.run(off_loop(num_pieces, threading.current_thread))
    assert (thread is threading.main_thread()) is on_loop


def test_failures() -> None:
    """Are those of the work."""

    def fail() -> None:
        raise ValueError("fails")

    for num_pieces in (1, MANY):
        with pytest.raises(ValueError, match="fails"):
            asyncio.run(off_loop(num_pieces, fail))
