"""What a person types -> content parts of a message."""

import base64
import os
import stat
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from phiserve.cli.streams import typed
from phiserve.errors import StartupError

MAX_FILE_BYTES = 64 * 2**20
"""Most that is read of an image's file. A server may allow less, and says so; with base64's third more, none
takes much more."""

_URLS = ("http://", "https://", "data:", "file://")
_SUFFIXES = (
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
)
_KINDS = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


class Detail(StrEnum):
    """How closely the model looks."""

    AUTO = "auto"
    LOW = "low"
    HIGH = "high"


def split_words(words: Sequence[str], last: str) -> tuple[list[str], str]:
    """Images, and the text after them, which `last` names. Raises StartupError where an image stands in the
    text's place.
    """
    *images, text = words
    if _is_url(text):
        raise StartupError(f'A {last} must follow the images, or ""; {_short(text)} is an address')
    if os.path.exists(text) and (os.sep in text or not os.path.isdir(text)):
        raise StartupError(
            f'A {last} must follow the images, or ""; {text} is a {"folder" if os.path.isdir(text) else "file"}'
        )
    if text.lower().endswith(_SUFFIXES) and " " not in text:
        raise StartupError(
            f'A {last} must follow the images, or ""; {text} looks like one, and there is no such file'
        )
    for word in images:
        if not (
            _is_url(word) or os.path.exists(word) or word.startswith("~") or word.lower().endswith(_SUFFIXES)
        ):
            raise StartupError(f"There is no image {_short(word)}; a {last} of several words goes in quotes")
    return images, typed(text)


def image_url(argument: str) -> str:
    """A file as a data URL; a URL as it is, for the server to fetch or refuse. Raises StartupError."""
    if _is_url(argument):
        return typed(argument)
    try:
        content = _read(Path(argument).expanduser(), argument)
    except OSError as error:
        raise _unreadable(argument, (error.strerror or str(error)).lower()) from None
    except (RuntimeError, ValueError):  # of a home that nobody has, or a name that no file can have
        raise StartupError(f"{_short(argument)!r} is not the name of a file") from None
    return f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"


def user_message(urls: Iterable[str], text: str, detail: Detail) -> dict[str, Any]:
    """A user's message: images first, then the text."""
    images = [{"type": "image_url", "image_url": {"url": url, "detail": detail.value}} for url in urls]
    return {"role": "user", "content": [*images, {"type": "text", "text": text}]}


def system_messages(text: str | None) -> list[dict[str, Any]]:
    """Instructions, if there are any. Raises StartupError."""
    return [{"role": "system", "content": typed(text)}] if text else []


def _read(file: Path, name: str) -> bytes:
    """Pipes and devices are not even opened: they may wait, or never end. Raises StartupError, OSError or
    ValueError.
    """
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise _unreadable(name, f"it is {_KINDS.get(stat.S_IFMT(status.st_mode), 'a device')}")
    content = b""
    if status.st_size <= MAX_FILE_BYTES:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)  # some files say that they are empty, and go on and on
        if not content:
            raise _unreadable(name, "it is empty")
    if max(status.st_size, len(content)) > MAX_FILE_BYTES:
        raise _unreadable(name, f"it is too large, {MAX_FILE_BYTES // 2**20} MiB are the limit")
    return content


def _unreadable(name: str, reason: str) -> StartupError:
    return StartupError(f"The image {_short(name)} cannot be read: {reason}")


def _is_url(word: str) -> bool:
    return word.lower().startswith(_URLS) and not any(map(str.isspace, word))


def _short(word: str) -> str:
    return word if len(word) <= 200 else f"{word[:200]}…"
