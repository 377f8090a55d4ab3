"""Faults over files: a 500 that tells nothing, and a line in the log that tells which file."""

import errno
import logging

import pytest
from blake3 import blake3

from phiserve.errors import EngineFailure, InvalidPdf, ResourcesLacking
from phiserve.vision.decoding import DecodingFault
from phiserve.vision.faults import digest_of, failures_at, faults_logged


def test_digests() -> None:
    """Equal for equal bytes and owners."""
    assert digest_of(b"a", None) == blake3(b"a").hexdigest()
    assert digest_of(b"a", "alice") == digest_of(b"a", "alice")
    assert len({digest_of(b"a", salt) for salt in (None, "alice", "bob")}) == 3


def test_a_fault_is_logged_by_the_file_s_hash(caplog: pytest.LogCaptureFixture) -> None:
    """With the class and place of what was raised, here or in a worker; never with its message."""
    for error, name in (
        (KeyError("secret"), "KeyError"),
        (DecodingFault("IndexError", "in f"), "IndexError"),
    ):
        failing = pytest.raises(EngineFailure, match="the server failed on this PDF")
        with failing as caught, faults_logged(b"content", "PDF"):
            raise error
        assert caught.value.code == "internal_error"
        record = caplog.records[-1]
        assert record.levelno == logging.ERROR
        assert record.message.startswith(f"{name} over the PDF with BLAKE3 {blake3(b'content').hexdigest()}")
    assert "secret" not in caplog.text


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EMFILE, "many"), OSError(errno.ENOMEM, "no")])
def test_what_the_server_lacks(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """Passes, and is no fault over the file; the log names it all the same."""
    with pytest.raises(ResourcesLacking) as caught, faults_logged(b"content"):
        raise error
    assert (caught.value.status, caught.value.retry_after_s) == (503, 2)
    assert type(error).__name__ in caplog.text


def test_refusals_are_no_faults(caplog: pytest.LogCaptureFixture) -> None:
    """They go on as they are, with the place."""
    with pytest.raises(InvalidPdf) as caught, failures_at("p"), faults_logged(b""):
        raise InvalidPdf("why")
    assert (caught.value.param, caplog.records) == ("p", [])
    with pytest.raises(EngineFailure) as failed, failures_at("p"), faults_logged(b""):
        raise KeyError
    assert failed.value.param == "p"
