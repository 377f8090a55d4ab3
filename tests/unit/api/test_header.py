"""Which field of a request's head is meant by a name."""

from phiserve.api.header import header_of


def test_the_first_of_a_name_counts() -> None:
    scope = {"headers": [(b"a", b"1"), (b"x-b", b"\xe9"), (b"x-b", b"3")]}
    assert header_of(scope, b"x-b") == "\xe9"
    assert header_of(scope, b"c") is None
