"""The standard streams: they carry whatever people type and models write, and fail without noise."""

import io
import os
import sys
from contextlib import suppress

from phiserve.errors import StartupError

_CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}
"""Control characters, which a terminal obeys rather than shows."""


def prepare_streams() -> None:
    """Make the standard streams take every character.

    What cannot be encoded is written as an escape, and bytes that are not text are read as surrogates.
    """
    for stream, errors in (
        (sys.stdin, "surrogateescape"),
        (sys.stdout, "backslashreplace"),
        (sys.stderr, "backslashreplace"),
    ):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def settle_stdout() -> None:
    """After a failure, write what standard output still takes, and drop the rest.

    Otherwise the interpreter would try again when it ends, and complain.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


def typed(text: str, encoding: str | None = None) -> str:
    """What a person typed, as text.

    Bytes that the locale's `encoding` does not know are read as UTF-8. Raises StartupError where they are
    not.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        try:
            return text.encode(encoding or sys.getfilesystemencoding(), "surrogateescape").decode()
        except UnicodeError:
            raise StartupError("What was typed is not text in UTF-8") from None
    return text


def showable(text: str) -> str:
    """Text for standard output: unchanged for files and pipes, without control characters for a terminal."""
    return text.translate(_CONTROLS) if sys.stdout is not None and sys.stdout.isatty() else text
