"""Queries of lists."""

import pytest
from fastapi import Request

from phiserve.api.paging import PageQuery, page_query
from phiserve.errors import InvalidRequest


def query_of(text: str) -> PageQuery:
    return page_query(Request({"type": "http", "query_string": text.encode()}))


def test_defaults_are_openai_s() -> None:
    """The last twenty, the newest first."""
    assert query_of("") == PageQuery(None, 20, "desc")
    assert query_of("after=a&limit=100&order=asc&include[]=x&include=y") == PageQuery("a", 100, "asc")


@pytest.mark.parametrize(
    "text", ["limit=0", "limit=101", "limit=x", "limit=", "limit=-1", "order=", "before=a"]
)
def test_refusals(text: str) -> None:
    """Name the parameter."""
    with pytest.raises(InvalidRequest) as refusal:
        query_of(text)
    assert refusal.value.param == text.partition("=")[0]
