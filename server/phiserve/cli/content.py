"""From what a person types to the messages of a request."""

import base64
import os
import stat
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path

from phiserve.cli.failures import reason_of
from phiserve.cli.streams import typed
from phiserve.errors import StartupError, shortened

MAX_FILE_BYTES = 64 * 2**20
"""Maximum size of an image's file in bytes. A server may allow less, and says so."""

Message = dict[str, object]
"""A message of OpenAI's request, or a part of one."""

PDF_URL = "data:application/pdf;base64,"
"""How the URL of a PDF begins that was read from a file."""

_URLS = ("http://", "https://", "data:", "file://")
SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".webp",
    ".gif",
    ".bmp",
    ".avif",
    ".heic",
    ".heif",
    ".tif",
    ".tiff",
    ".pdf",
)
"""How the names of images and PDFs end, in lower case."""

_KINDS = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


class Detail(StrEnum):
    """How closely the model looks at images."""

    AUTO = "auto"
    LOW = "low"
    HIGH = "high"


def split_words(words: Sequence[str], last: str) -> tuple[list[str], str]:
    """Split a command's words into images and the text after them.

    `last` is what errors call the text. Raises StartupError where the last word is an image, or an earlier
    one is not.
    """
    *images, text = words
    if mistaken := _image_instead_of_text(text):
        raise StartupError(f'A {last} must follow the images, or ""; {shortened(text)} {mistaken}')
    for word in images:
        if not _may_be_image(word):
            raise StartupError(
                f"There is no image {shortened(word)}; a {last} of several words goes in quotes"
            )
    return images, typed(text)


def image_url(argument: str, folder: Path = Path()) -> str:
    """A file as a data URL; a URL as it is, for the server to fetch or refuse. Raises StartupError.

    `folder`: where a file is that is not said to be elsewhere.
    """
    if _is_url(argument):
        return typed(argument)
    try:
        content = _read(folder / Path(argument).expanduser(), argument)
    except OSError as error:
        raise _unreadable(argument, reason_of(error)) from None
    except (RuntimeError, ValueError):  # of a home that nobody has, or a name that no file can have
        raise StartupError(f"{shortened(argument)!r} is not the name of a file") from None
    # As `codecs.pdf` has it, which takes half a second to import.
    start = PDF_URL if b"%PDF-" in content[:1024] else "data:application/octet-stream;base64,"
    return start + base64.b64encode(content).decode()


def user_message(urls: Iterable[str], text: str, detail: Detail, pages: str | None = None) -> Message:
    """A user's message: images and PDFs first, then the text. `pages`: which of the PDFs' are shown.

    Raises StartupError for pages that no PDF has.
    """
    shown: list[dict[str, object]] = []
    for url in _with_pages(urls, pages):
        if url.startswith(PDF_URL):
            shown.append({"type": "file", "file": _file(url, detail, pages)})
        else:
            shown.append({"type": "image_url", "image_url": {"url": url, "detail": detail.value}})
    return {"role": "user", "content": [*shown, {"type": "text", "text": text}]}


def input_parts(urls: Iterable[str], detail: Detail, pages: str | None = None) -> list[Message]:
    """Images and PDFs as parts of an input, which decisions have. Raises StartupError as `user_message`."""
    shown: list[Message] = []
    for url in _with_pages(urls, pages):
        if url.startswith(PDF_URL):
            shown.append({"type": "input_file", **_file(url, detail, pages)})
        else:
            shown.append({"type": "input_image", "image_url": url, "detail": detail.value})
    return shown


def _with_pages(urls: Iterable[str], pages: str | None) -> list[str]:
    """All URLs. Raises StartupError where these pages are of none of them."""
    shown = list(urls)
    check_pages(pages)
    if pages is not None and not any(url.startswith(PDF_URL) for url in shown):
        raise StartupError("--pages is for PDFs, and there is none")
    return shown


def _file(url: str, detail: Detail, pages: str | None) -> Message:
    """A PDF as messages and inputs have it; what OpenAI does not know is there only where it is said."""
    file: Message = {"file_data": url, "filename": "document.pdf"}
    if detail is not Detail.AUTO:
        file["detail"] = detail.value
    if pages is not None:
        file["pages"] = pages
    return file


def check_pages(pages: str | None) -> None:
    """Raises StartupError for pages that no PDF has."""
    if pages is None:
        return
    from phiserve.protocol.documents import named_pages

    try:
        named_pages(pages)
    except ValueError as error:
        raise StartupError(f"--pages: {error}") from None


def system_messages(text: str | None) -> list[Message]:
    """The instructions as a system message, if there are any. Raises StartupError."""
    return [{"role": "system", "content": typed(text)}] if text else []


def _read(file: Path, name: str) -> bytes:
    """Read an image's file.

    Pipes and devices are not even opened: they may block, or never end. Raises StartupError, OSError or
    ValueError.
    """
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise _unreadable(name, f"it is {_KINDS.get(stat.S_IFMT(status.st_mode), 'a device')}")
    content = b""
    if status.st_size <= MAX_FILE_BYTES:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)  # some files say that they are empty, and never end
        if not content:
            raise _unreadable(name, "it is empty")
    if max(status.st_size, len(content)) > MAX_FILE_BYTES:
        raise _unreadable(name, f"it is too large, {MAX_FILE_BYTES // 2**20} MiB are the limit")
    return content


def _unreadable(name: str, reason: str) -> StartupError:
    return StartupError(f"The image {shortened(name)} cannot be read: {reason}")


def _image_instead_of_text(word: str) -> str | None:
    """Why a word that should be text is taken for an image; None if it is not."""
    if _is_url(word):
        return "is an address"
    if os.path.isdir(word) and os.sep in word:
        return "is a folder"
    if os.path.exists(word) and not os.path.isdir(word):
        return "is a file"
    if word.lower().endswith(SUFFIXES) and " " not in word:
        return "looks like one, and there is no such file"
    return None


def _may_be_image(word: str) -> bool:
    return _is_url(word) or os.path.exists(word) or word.startswith("~") or word.lower().endswith(SUFFIXES)


def _is_url(word: str) -> bool:
    return word.lower().startswith(_URLS) and not any(map(str.isspace, word))
