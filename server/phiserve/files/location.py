"""Where bytes of files are kept, by the setting `files_url`: a folder, or a bucket."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from phiserve.errors import StartupError
from phiserve.files.blobs import Blobs
from phiserve.files.disk import DiskBlobs
from phiserve.store.location import OFF, default_file

_WRONG_URL = "Setting files_url: file:///folder, s3://bucket/prefix or off is expected"


def open_blobs(url: str | None, state_file: Path | None) -> Blobs | None:
    """The place of a setting, ready to be used; None where it is `off`.

    Without a setting it is the folder `files` beside the state's file or, where the state has none, beside
    the one that it would have by default. Raises StartupError.
    """
    if url == OFF:
        return None
    if url is None:
        blobs = DiskBlobs((state_file or default_file()).parent / "files")
        blobs.prepare()
        return blobs
    check_url(url)
    if urlsplit(url).scheme == "file":
        blobs = DiskBlobs(Path(unquote(urlsplit(url).path)))
        blobs.prepare()
        return blobs
    from phiserve.files.bucket import BucketBlobs  # brings a library that only buckets need

    bucket = BucketBlobs.at(url)
    bucket.prepare()
    return bucket


def check_url(url: str | None) -> None:
    """Raises StartupError for what is no place for files."""
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
