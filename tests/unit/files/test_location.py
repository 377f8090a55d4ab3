"""Where bytes of files are kept, and what is no such place."""

from pathlib import Path

import pytest

from phiserve.errors import StartupError
from phiserve.files.bucket import BucketBlobs
from phiserve.files.disk import DiskBlobs
from phiserve.files.location import check_url, open_blobs
from unit.files.conftest import S3Server


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By URL, beside the state's file, or beside where that would be."""
    for url, state, folder in (
        (f"file://{tmp_path}/with%20space", None, "with space"),
        (None, tmp_path / "state" / "state.db", "state/files"),
        (None, None, "xdg/phiserve/files"),
    ):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
        assert isinstance(open_blobs(url, state), DiskBlobs)
        assert (tmp_path / folder).is_dir()


def test_a_bucket(s3: S3Server) -> None:
    """By URL; its server comes from the environment."""
    assert isinstance(open_blobs(f"s3://{s3.new_bucket()}/prefix", None), BucketBlobs)


def test_off() -> None:
    """Nowhere."""
    check_url("off")
    check_url(None)
    assert open_blobs("off", None) is None


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
        check_url(url)
    assert "secret" not in str(caught.value)
