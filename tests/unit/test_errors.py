"""Every error that a client can meet is complete."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import phiserve
from phiserve.errors import (
    ContextLengthExceeded,
    DownloadFailed,
    ForbiddenUrl,
    InvalidImage,
    InvalidRequest,
    Overloaded,
    RequestError,
    StartupError,
    errors_at,
    shortened,
)
from phiserve.protocol import parsing
from phiserve.protocol.decisions.request import DecisionsRequest


def every(kind: type[RequestError]) -> list[type[RequestError]]:
    """A class and all below it."""
    return [kind, *(below for child in kind.__subclasses__() for below in every(child))]


def test_request_errors_have_status_type_and_code() -> None:
    """Every class below the root has a status of its own and a code for programs."""
    for kind in every(RequestError)[1:]:
        error = kind("text")
        assert 400 <= error.status < 600
        assert error.type
        assert error.code or kind is parsing.Uncoded
        assert str(error) == error.message == "text"


def test_overload_says_when_to_come_back() -> None:
    """In the header that clients obey."""
    assert Overloaded("full", retry_after_s=3).headers == {"Retry-After": "3"}
    assert not issubclass(StartupError, RequestError)


def test_messages_begin_with_the_path() -> None:
    """Written by the class, once; also that of a nameless field. What concerns no one value has no path."""
    assert InvalidRequest("wrong", param="messages[0]").message == "messages[0]: wrong"
    assert InvalidRequest("wrong", param="").message == ": wrong"
    assert InvalidRequest("wrong").message == "wrong"
    assert str(InvalidRequest("wrong", param="n")) == "n: wrong"
    assert ContextLengthExceeded("too long", param="messages").message == "too long"


def test_paths_are_attached_at_the_boundary() -> None:
    """Class and code stay, a path that is known already too; the error itself, which others may share, is not
    changed.
    """
    shared = InvalidImage("too large", code="image_too_large")
    for param in ("a", "b"):
        with pytest.raises(InvalidImage) as caught, errors_at(param):
            raise shared
        assert (caught.value.message, caught.value.code) == (f"{param}: too large", "image_too_large")
    assert shared.param is None
    with pytest.raises(ForbiddenUrl) as forbidden, errors_at("outer"), errors_at("inner"):
        raise ForbiddenUrl("no")
    assert forbidden.value.param == "inner"
    with pytest.raises(Overloaded), errors_at("a"):
        raise Overloaded("full")


def test_shortened() -> None:
    """What fits is left as it is; what is cut says so."""
    assert (shortened("abc", 3), shortened("abcd", 3), shortened("")) == ("abc", "ab…", "")


def codes_in_source() -> Iterator[str]:
    """Every code that is given to an error where it is raised, by name or chosen from a table."""
    for path in Path(phiserve.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "code" and isinstance(node.value, ast.Constant):
                yield str(node.value.value)
    yield from parsing.CODES.values()
    yield from filter(None, DecisionsRequest.error_codes.values())
    yield from (parsing.INVALID_TYPE, parsing.INVALID_VALUE)


def test_codes_are_all_named() -> None:
    """Beside the defaults, classes name just those codes that occur: the documents list them."""
    assert {DownloadFailed, ForbiddenUrl} <= {*every(RequestError)}
    defaults = {kind.default_code for kind in every(RequestError)[1:]}
    others = [code for kind in every(RequestError) for code in kind.__dict__.get("other_codes", {})]
    assert len(set(others)) == len(others)
    assert not defaults.intersection(others)
    assert set(codes_in_source()) - defaults == set(others)
