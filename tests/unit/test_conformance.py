"""How the runs of others' suites are held against the list of differences."""

from conformance.differences import Difference, compare, read_differences
from conformance.outcomes import Outcome

PASSES = Outcome("a", "x.py::test_one[1]", "passed", "")
FAILS = Outcome("a", "x.py::test_two[1]", "failed", "no")
SKIPPED = Outcome("a", "x.py::test_three", "skipped", "no internet")


def difference(*tests: str, suite: str = "a") -> Difference:
    return Difference(suite, tests, "since it is so")


def test_a_failure_without_a_reason_is_unexpected() -> None:
    """Nothing listed explains nothing, and neither does what is listed for another suite."""
    for listed in ([], [difference("*test_two*", suite="b")]):
        assert compare([PASSES, FAILS, SKIPPED], listed).unexpected == (FAILS,)


def test_a_listed_failure_is_reasoned() -> None:
    """The reason comes with the tests it explains; brackets in a pattern mean themselves."""
    listed = difference("*::test_two[1]")
    comparison = compare([PASSES, FAILS, SKIPPED], [listed])
    assert comparison.reasoned == ((listed, (FAILS,)),)
    assert (comparison.unexpected, comparison.stale) == ((), ())


def test_lines_that_are_out_of_date_are_told() -> None:
    """A listed test that passes, and a pattern that no failure has, even beside one that has."""
    stale = compare([PASSES, FAILS], [difference("*::test_*[1]", "*test_four*")]).stale
    assert stale == ("a: x.py::test_one[1] passes", "a: no test fails as *test_four*")


def test_chance_is_allowed_for() -> None:
    """Where chance decides, neither a pass nor a failure is out of order."""
    listed = Difference("a", ("*test_two*",), "since it is so", sometimes=True)
    for outcome in (FAILS, Outcome("a", FAILS.test, "passed", "")):
        comparison = compare([outcome], [listed])
        assert (comparison.unexpected, comparison.stale) == ((), ())


def test_suites_that_were_not_run_are_left_alone() -> None:
    """One suite can be run by itself."""
    assert compare([PASSES], [difference("*", suite="b")]).stale == ()


def test_every_listed_difference_has_a_reason() -> None:
    """In words."""
    for listed in read_differences():
        assert len(listed.reason.split()) > 5, listed.tests
