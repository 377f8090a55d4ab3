"""The error for damaged files, in words of our own: a library's may repeat addresses or contents."""

from collections.abc import Iterator
from contextlib import contextmanager

from phiserve.errors import InvalidImage

DAMAGED = "the image is damaged or incomplete"


@contextmanager
def library_failures() -> Iterator[None]:
    """Turn whatever an image library raises within into InvalidImage.

    Only for calls of Pillow, pillow_heif and simplejpeg. They divide by numbers that stand in files, and
    assert what files should hold, so any exception of theirs is the file's fault. Exceptions of our own code
    are not.
    """
    try:
        yield
    except Exception:
        raise InvalidImage(DAMAGED) from None
