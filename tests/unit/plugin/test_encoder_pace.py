"""What CLIP takes on this machine is measured, and decides how many crops pass it together."""

import pytest

from phiserve.plugin.encoder_pace import BATCHES, EncoderPace

SLICE_S = 0.03


def measured(pace: EncoderPace, crops: int, crop_s: float) -> None:
    """A pass of so many crops, of two parts, the second three times as long."""
    pace.took("short", crops, crops * crop_s / 4)
    pace.took("long", crops, crops * crop_s * 3 / 4)
    pace.passed(crops, crops * crop_s)


def chosen(pace: EncoderPace, crop_s: dict[int, float], waiting: int, passes: int) -> list[int]:
    """The numbers of crops that these passes took together, where a pass takes so long for each crop."""
    sizes = []
    for _ in range(passes):
        sizes.append(pace.crops_together(waiting, SLICE_S))
        measured(pace, sizes[-1], crop_s[sizes[-1]])
    return sizes


def test_an_average_of_what_was_measured() -> None:
    """A part that the machine delayed once hardly changes what is expected."""
    pace = EncoderPace()
    assert pace.expected_s("part", 1) == 0
    pace.took("part", 1, 0.004)
    assert pace.expected_s("part", 1) == 0.004
    pace.took("part", 1, 0.008)
    assert pace.expected_s("part", 1) == pytest.approx(0.005)
    assert pace.expected_s("part", 2) == pace.expected_s("another", 1) == 0


def test_crops_go_together_where_that_is_faster() -> None:
    """Each size is tried once, then the fastest is taken."""
    assert chosen(EncoderPace(), {1: 0.004, 2: 0.003, 4: 0.002, 8: 0.0025}, 13, 7) == [*BATCHES, 4, 4, 4]


def test_crops_go_one_by_one_where_it_makes_no_difference() -> None:
    """Small parts fill slices more evenly."""
    assert chosen(EncoderPace(), {1: 0.004, 2: 0.0039, 4: 0.0039, 8: 0.0041}, 13, 6) == [*BATCHES, 1, 1]


def test_no_more_than_fit_into_a_slice() -> None:
    """A size is not even tried whose longest part would take longer, going by half as many crops."""
    speeds = {1: 0.015, 2: 0.012, 4: 0.001, 8: 0.001}
    assert chosen(EncoderPace(), speeds, 13, 4) == [1, 2, 2, 2]  # three quarters of 4 * 12 ms are too long
    assert chosen(EncoderPace(), {1: 0.015, 2: 0.022}, 13, 4) == [1, 2, 1, 1]  # longer than it should be
    assert chosen(EncoderPace(), {1: 1.0}, 13, 3) == [1, 1, 1]  # a slow machine: less cannot be taken


def test_no_more_than_wait() -> None:
    """The last crops of an image may be few."""
    pace = EncoderPace()
    chosen(pace, {1: 0.004, 2: 0.003, 4: 0.002, 8: 0.001}, 13, 4)
    assert [pace.crops_together(waiting, SLICE_S) for waiting in (13, 8, 5, 3, 1)] == [8, 8, 4, 2, 1]


def test_other_sizes_are_tried_again() -> None:
    """The machine may have become another one: what was slow once is tried now and then."""
    pace = EncoderPace()
    chosen(pace, {1: 0.004, 2: 0.006, 4: 0.006, 8: 0.006}, 13, 4)
    now = chosen(pace, {1: 0.004, 2: 0.001, 4: 0.006, 8: 0.006}, 13, 400)
    assert now[0] == 1
    assert now[-2:] == [2, 2]
    assert now.count(2) > 200
