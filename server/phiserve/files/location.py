"""Where bytes of files are kept, by the setting `files_url`: a folder, or a bucket."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from phiserve.errors import StartupError
from phiserve.files.blobs import BlobPlace
from phiserve.files.disk import DiskBlobs
from phiserve.store.location import OFF

_WRONG_URL = "Setting files_url: file:///folder, s3://bucket/prefix or off is expected"
_NO_URL = (
    f"{_WRONG_URL} where state_url is a PostgreSQL, the same for all of its servers: a bucket, or a folder "
    "that they share"
)


def locate_blobs(url: str | None, state_file: Path | None) -> BlobPlace | None:
    """The place of a setting, not looked at yet; None where it is `off`.

    Without a setting it is the folder `files` beside the state's file. Raises StartupError.
    """
    check_url(url, is_needed=state_file is None)
    if url == OFF:
        return None
    if url is None:
        return DiskBlobs((state_file or Path()).parent / "files")
    if urlsplit(url).scheme == "file":
        return DiskBlobs(Path(unquote(urlsplit(url).path)))
    from phiserve.files.bucket import BucketBlobs  # brings a library that only buckets need

    return BucketBlobs.at(url)


def check_url(url: str | None, *, is_needed: bool) -> None:
    """Raises StartupError for what is no place for files.

    `is_needed`: the state is a PostgreSQL, each server of which would have a place of its own without a URL.
    """
    if url is None and is_needed:
        raise StartupError(_NO_URL)
    if url in (None, OFF):
        return
    try:
        parsed = urlsplit(url or "")
    except ValueError:
        raise StartupError(_WRONG_URL) from None
    is_folder = parsed.scheme == "file" and parsed.netloc == "" and parsed.path.startswith("/")
    is_bucket = parsed.scheme == "s3" and parsed.netloc != "" and "@" not in parsed.netloc
    if not (is_folder or is_bucket) or parsed.query or parsed.fragment:
        raise StartupError(_WRONG_URL)
