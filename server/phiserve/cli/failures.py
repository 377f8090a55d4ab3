"""Failures as one sentence."""

import openai

from phiserve.errors import PhiserveError


def sentence(error: Exception) -> str:
    """What went wrong, for a person at a terminal."""
    match error:
        case PhiserveError():
            return str(error)
        case openai.APIConnectionError():
            return "The connection to the server was lost"
        case openai.APIError():
            return _message_of(error)
        case OSError() if error.strerror:
            return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        case _:
            return f"unexpected {type(error).__name__}: {error} (phiserve --debug … shows where)"


def _message_of(error: openai.APIError) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    return str(body.get("message", error.message))
