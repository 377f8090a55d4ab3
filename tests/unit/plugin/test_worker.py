"""Generators of half-read prompts are left alone, and come back."""

import pytest

from phiserve.plugin.worker import set_aside


def test_generators_are_set_aside_and_come_back() -> None:
    """Only rows that are named and have one; after a failure, too."""
    generators = {0: "a", 2: "b", 3: "c"}
    with set_aside(generators, [1, 2]):
        assert generators == {0: "a", 3: "c"}
    assert generators == {0: "a", 2: "b", 3: "c"}
    with pytest.raises(RuntimeError), set_aside(generators, [0]):
        raise RuntimeError
    assert generators == {0: "a", 2: "b", 3: "c"}
