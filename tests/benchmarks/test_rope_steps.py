"""What is told of steps with and without."""

from benchmarks.rope_steps import compared


def test_neighbours_are_compared() -> None:
    """A machine that grows slower all the time hits both alike, and a step that was held up counts once."""
    blocks = [(number % 2 == 0, [0.01 * 1.1**number] * 9 + [1.0]) for number in range(20)]
    even = compared(blocks)
    assert (even["blocks"], even["longer_percent"]) == (20, 0.0)
    slower = compared(
        [(chooses, [time * (1.02 if chooses else 1) for time in times]) for chooses, times in blocks]
    )
    assert abs(slower["longer_percent"] - 2) < 0.01


def test_milliseconds() -> None:
    """Of the median block of each kind."""
    found = compared([(False, [0.001]), (True, [0.002]), (False, [0.001]), (True, [0.002])])
    assert (found["with_ms"], found["without_ms"], found["longer_percent"]) == (2.0, 1.0, 100.0)
