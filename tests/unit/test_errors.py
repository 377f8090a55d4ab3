"""Every error that a client can meet is complete."""

from phiserve.errors import Overloaded, RequestError, StartupError


def every(kind: type[RequestError]) -> list[type[RequestError]]:
    """A class and all below it."""
    return [kind, *(below for child in kind.__subclasses__() for below in every(child))]


def test_request_errors_have_status_type_and_code() -> None:
    """Every class below the root has a status of its own and a code for programs."""
    for kind in every(RequestError)[1:]:
        error = kind("text")
        assert 400 <= error.status < 600
        assert error.type
        assert error.code
        assert str(error) == error.message == "text"


def test_overload_says_when_to_come_back() -> None:
    """In the header that clients obey."""
    assert Overloaded("full", retry_after_s=3).headers == {"Retry-After": "3"}
    assert not issubclass(StartupError, RequestError)
