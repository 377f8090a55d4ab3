"""Parts of one turn, joined as the model was trained to read them.

An image or a file is its placeholder and a newline; between other parts stands one newline unless the text
has one there.
"""

from collections.abc import Iterable

from phiserve.core import Part
from phiserve.errors import InvalidRequest


def join_parts(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Put the newlines between parts and merge texts that touch."""
    joined: list[Part] = []
    texts: list[str] = []  # since the last image
    for part in parts:
        if not isinstance(part, str):
            if texts and not texts[-1].endswith("\n"):
                texts.append("\n")
            joined += _merged(texts)
            joined.append(part)
            texts = ["\n"]
        else:
            if texts and not texts[-1].endswith("\n") and not part.startswith("\n"):
                texts.append("\n")
            texts.append(part)
    return (*joined, *_merged(texts))


def checked_text(text: str, param: str) -> str:
    """Return the text, after a check that UTF-8 can express it.

    JSON can spell half a surrogate pair, which UTF-8 cannot express. Raises InvalidRequest, which names
    `param`.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        reason = "the text holds a lone surrogate and is not valid Unicode"
        raise InvalidRequest(reason, param=param) from None
    return text


def _merged(texts: list[str]) -> list[str]:
    """All texts as one, or nothing where they are empty."""
    text = "".join(texts)
    return [text] if text else []
