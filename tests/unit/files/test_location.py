"""Where bytes of files are kept, and what is no such place."""

from pathlib import Path

import pytest

from phiserve.errors import StartupError
from phiserve.files.bucket import BucketBlobs
from phiserve.files.disk import DiskBlobs
from phiserve.files.location import check_url, locate_blobs
from unit.files.conftest import S3Server


def test_folders(tmp_path: Path) -> None:
    """By URL, or beside the state's file; nothing is made yet."""
    for url, state, folder in (
        (f"file://{tmp_path}/with%20space", None, "with space"),
        (None, tmp_path / "state" / "state.db", "state/files"),
    ):
        place = locate_blobs(url, state)
        assert isinstance(place, DiskBlobs)
        assert place.name == str(tmp_path / folder)
    assert [*tmp_path.iterdir()] == []


def test_a_state_without_a_file() -> None:
    """Servers of a PostgreSQL must say where files are: each would have a folder of its own."""
    with pytest.raises(
        StartupError, match="where state_url is a PostgreSQL, the same for all of its servers"
    ):
        locate_blobs(None, None)
    assert locate_blobs("off", None) is None


def test_a_bucket(s3: S3Server) -> None:
    """By URL; its server comes from the environment."""
    assert isinstance(locate_blobs(f"s3://{s3.new_bucket()}/prefix", None), BucketBlobs)


def test_off() -> None:
    """Nowhere."""
    check_url("off", is_needed=True)
    check_url(None, is_needed=False)
    assert locate_blobs("off", None) is None


@pytest.mark.parametrize(
    "url",
    [
        *("", "files", "/files", "file://host/files", "file:files", "s3://", "s3:///x", "gs://b"),
        *(
            "https://b/x",
            "s3://key:secret@bucket",
            "s3://bucket?endpoint=x",
            "file:///files#x",
            "http://[::1",
        ),
    ],
)
def test_other_urls(url: str) -> None:
    """Refused with what is expected, and without what was given."""
    with pytest.raises(StartupError, match=r"Setting files_url: file:///.* or off is expected") as caught:
        check_url(url, is_needed=False)
    assert "secret" not in str(caught.value)
