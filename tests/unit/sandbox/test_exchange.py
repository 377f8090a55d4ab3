"""Shared memory holds a file and its crops, and neither side can take it from under the other."""

import os
from collections.abc import Iterator

import numpy as np
import pytest

from phiserve.sandbox.exchange import Exchange, make_file
from phiserve.sandbox.limits import CROP_BYTES
from phiserve.vision.sizes import plan_crops

PLAN = plan_crops(10, 10, 4)
ROOM = 100 + 4 * CROP_BYTES


@pytest.fixture
def descriptor() -> Iterator[int]:
    descriptor = make_file(ROOM)
    yield descriptor
    os.close(descriptor)


def test_what_one_side_writes_the_other_reads(descriptor: int) -> None:
    """The file, and the crops behind it, of which nothing is copied."""
    ours, theirs = Exchange(descriptor), Exchange(descriptor)
    ours.write_content(b"content")
    assert theirs.content(7) == b"content"
    theirs.crops(7, PLAN)[3, 335, 335, 2] = 9
    assert ours.crops(7, PLAN)[3, 335, 335, 2] == 9
    assert np.count_nonzero(ours.crops(7, PLAN)) == 1
    ours.close()
    assert theirs.content(7) == b"content"
    theirs.close()


def test_what_has_no_room(descriptor: int) -> None:
    """Is refused instead of cut off."""
    exchange = Exchange(descriptor)
    with pytest.raises(ValueError, match="broadcast"):
        exchange.write_content(bytes(ROOM + 1))
    with pytest.raises(ValueError, match="reshape"):
        exchange.crops(101, PLAN)
    exchange.close()


@pytest.mark.parametrize("size", [0, ROOM - 1, ROOM + 1])
def test_nobody_can_change_its_size(descriptor: int, size: int) -> None:
    """A side that has it mapped would be ended by a signal if the other cut it off."""
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, size)
