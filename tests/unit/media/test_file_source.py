"""Uploaded files where a server keeps none, and ones that are not there."""

import asyncio

import pytest

from phiserve.errors import InvalidRequest
from phiserve.media.file_source import NoFiles, no_such_file


def test_no_files() -> None:
    """Told what to do instead."""
    with pytest.raises(InvalidRequest, match="send the content itself") as caught:
        asyncio.run(NoFiles().find("", "file-1"))
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", None)


def test_no_such_file() -> None:
    """The name, if it is not too long."""
    error = no_such_file("x" * 1000)
    assert error.code == "file_not_found"
    assert len(error.reason) < 250
    assert no_such_file("file-1").reason == "there is no file 'file-1'"
