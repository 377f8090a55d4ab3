"""Which temperature a question gets."""

from phiserve.decisions.temperatures import Temperatures


def test_by_kind_and_number_of_options() -> None:
    """The nearest number that is there, the smaller of two; 1 for a kind that is not."""
    temperatures = Temperatures({"choice": {2: 1.5, 10: 3.0}, "predicate": {2: 0.5}})
    assert [temperatures.of("choice", number) for number in (2, 5, 6, 7, 26)] == [1.5, 1.5, 1.5, 3.0, 3.0]
    assert temperatures.of("predicate", 2) == 0.5
    assert temperatures.of("score", 3) == 1.0
