"""Sets of characters."""

from phiserve.constraints.syntax import LAST, joined, others, overlap, without


def test_sets() -> None:
    """Union, complement, difference; halves of surrogate pairs are in none."""
    assert joined(((5, 9),), ((1, 2), (10, 12))) == ((1, 2), (5, 12))
    assert others(()) == ((0, 0xD7FF), (0xE000, LAST))
    assert others(others(((5, 9),))) == ((5, 9),)
    assert without(((1, 9),), ((3, 4),)) == ((1, 2), (5, 9))
    assert overlap(((1, 3),), ((3, 4),))
    assert not overlap(((1, 3),), ((4, 4),))
