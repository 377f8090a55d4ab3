"""What lies on circles is found, whatever hangs on it."""

import pytest

from phiserve.constraints.recursion import in_circles


@pytest.mark.parametrize(
    ("ways", "expected"),
    [
        ({}, ""),
        ({"a": "b", "b": ""}, ""),
        ({"a": "a"}, "a"),
        ({"a": "bb", "b": "c", "c": "a"}, "abc"),
        ({"a": "bd", "b": "c", "c": "bd", "d": ""}, "bc"),
        ({"a": "b", "b": "a", "c": "ad", "d": "d", "e": "c"}, "abd"),
        ({"a": "ab", "b": "c", "c": "cd", "d": ""}, "abc"),
    ],
)
def test_circles(ways: dict[str, str], expected: str) -> None:
    """Neither what only leads to one, nor what one only leads to; what lies between two."""
    assert in_circles(ways) == set(expected)
