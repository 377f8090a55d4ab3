"""One field of a request's head, found without building what holds all of them."""

from starlette.types import Scope


def header_of(scope: Scope, name: bytes) -> str | None:
    """The first field of this name, which must be in lower case; None where there is none."""
    for given, value in scope["headers"]:
        if given == name:
            text: str = value.decode("latin-1")
            return text
    return None
