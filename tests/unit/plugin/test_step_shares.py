"""Who is left out of a step, and for how long."""

from phiserve.plugin.step_shares import LEAD_S, StepShares
from phiserve.turns import Line

A, B, C, BATCH = Line(0, "a"), Line(0, "b"), Line(0, "c"), Line(1, "d")
FLOOD = {A: 32.0, B: 1.0}


def test_heavy_work_takes_a_third_of_the_time() -> None:
    shares = StepShares()
    with_flood = without = 0.0
    for _ in range(1000):
        left_out = shares.left_out(FLOOD)
        seconds = 0.003 if left_out else 0.012
        shares.took(seconds)
        if left_out:
            assert left_out == {A}
            without += seconds
        else:
            with_flood += seconds
    assert abs(2 * with_flood - without) < 0.03


def test_others_begin_with_a_lead() -> None:
    """An owner that had the engine to itself has had more than enough when another comes."""
    shares = StepShares()
    for _ in range(100):
        assert not shares.left_out({})
        shares.took(0.01)
    alone_s = 0.0
    while shares.left_out(FLOOD):
        shares.took(0.003)
        alone_s += 0.003
    assert LEAD_S <= alone_s < LEAD_S + 0.03


def test_nobody_is_left_out_of_steps_that_would_hardly_be_shorter() -> None:
    for weights in ({}, {A: 70.0}, {A: 5.0, B: 1.0}, {A: 32.0, B: 32.0}, {A: 6.0, B: 5.0, C: 4.0}):
        shares = StepShares()
        shares.left_out({})
        shares.took(1.0)
        assert not shares.left_out(weights)


def test_several_floods_are_left_out_together() -> None:
    shares = StepShares()
    shares.left_out({})
    shares.took(1.0)
    assert shares.left_out({A: 32.0, C: 32.0, B: 1.0}) == {A, C}


def test_batch_work_takes_a_fifth() -> None:
    shares = StepShares()
    with_batch = without = 0.0
    for _ in range(2000):
        if shares.left_out({A: 1.0, BATCH: 1.0}):
            without += 0.003
        else:
            with_batch += 0.003
        shares.took(0.003)
    assert 0.19 < with_batch / (with_batch + without) < 0.21


def test_batch_work_alone() -> None:
    shares = StepShares()
    for _ in range(10):
        assert not shares.left_out({BATCH: 30.0, Line(1, "e"): 1.0})
        shares.took(0.01)


def test_a_step_in_which_nothing_could_be_done_lets_all_in_again() -> None:
    shares = StepShares()
    shares.left_out({})
    shares.took(1.0)
    assert shares.left_out(FLOOD)
    shares.took(0)
    assert not shares.left_out(FLOOD)
    shares.took(0)
    shares.left_out({})
    shares.took(1.0)
    shares.left_out({})
    shares.took(0)  # the engine was idle
    assert shares.left_out(FLOOD)
