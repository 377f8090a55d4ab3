"""Failures told in one sentence."""

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
        case MemoryError():
            return "Too little memory: this process was refused what it asked for (ulimit -v limits it too)"
        case _:
            return f"unexpected {type(error).__name__}: {error} (phiserve --debug … shows where)"


def reason_of(error: OSError) -> str:
    """The operating system's reason, in lower case, for the end of a sentence."""
    return (error.strerror or str(error)).lower()


def _message_of(error: openai.APIError) -> str:
    """The server's own sentence; a server that is not OpenAI-compatible may send a whole page instead."""
    if isinstance(error.body, dict) and error.body.get("message"):
        return " ".join(str(error.body["message"]).split())
    if isinstance(error, openai.APIStatusError):
        return f"What answers is not an OpenAI-compatible server: its status is {error.status_code}"
    return " ".join(error.message.split())
