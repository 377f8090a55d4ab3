"""Every failure a client or an operator can meet, as classes.

PhiserveError
 ├── StartupError                     one sentence for the operator; the command exits
 └── RequestError                     has a status and becomes OpenAI's error object
      ├── Unauthorized          401
      ├── InvalidRequest        400
      │    ├── InvalidImage           a picture is at fault
      │    └── ContextLengthExceeded
      ├── NotFound              404
      │    └── ModelNotFound
      ├── MethodNotAllowed      405
      ├── RequestTooLarge       413
      ├── Overloaded            429   carries Retry-After
      ├── EngineFailure         500
      └── EngineUnavailable     503
"""

from collections.abc import Mapping
from typing import ClassVar

MAX_ECHO_CHARACTERS = 200
"""Most of a name or value of the client's that an error repeats."""


def shortened(text: str, most: int = MAX_ECHO_CHARACTERS) -> str:
    """`text`, cut to `most` characters, the last of which then is `…`."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


class PhiserveError(Exception):
    """Root of the tree."""


class StartupError(PhiserveError):
    """Why the server does not start, in one sentence that names the remedy."""


class RequestError(PhiserveError):
    """A failure that is answered to the client as OpenAI's error object.

    `param` is the path of the offending value (`messages[2].content[1].image_url`), `code` a stable word for programs: the
    class's default, or one of the other codes that it names, each with what it means.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    default_code: ClassVar[str | None] = None
    other_codes: ClassVar[Mapping[str, str]] = {}

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.default_code

    @property
    def headers(self) -> dict[str, str]:
        """Response headers that belong to the error."""
        return {}


class InvalidRequest(RequestError):
    """The request itself is wrong; sending it again will not help."""

    status = 400
    type = "invalid_request_error"
    default_code = "invalid_value"
    other_codes: ClassVar[Mapping[str, str]] = {
        "invalid_json": "The body is empty or not JSON.",
        "invalid_type": "A value has another type than its field.",
        "missing_required_parameter": "A field that must be there is missing.",
        "too_many_images": "More pictures than `max_images`.",
        "unknown_parameter": "There is no such field.",
        "unsupported_parameter": "A field of OpenAI's that is not served, or a value of one.",
        "unsupported_schema": "What constrains the answer's form is not valid or cannot be enforced.",
    }


class InvalidImage(InvalidRequest):
    """A picture cannot be read."""

    default_code = "invalid_image"
    other_codes: ClassVar[Mapping[str, str]] = {
        "image_too_large": "A picture, or all of a request together, has too many bytes or pixels; the limit is named.",
        "image_too_thin": "A picture's long side is too many times its short side; the limit is named.",
    }


class ContextLengthExceeded(InvalidRequest):
    """Prompt and requested output do not fit the context."""

    default_code = "context_length_exceeded"


class Unauthorized(RequestError):
    """The API key is missing or wrong."""

    status = 401
    type = "invalid_request_error"
    default_code = "invalid_api_key"

    @property
    def headers(self) -> dict[str, str]:
        """HTTP's challenge."""
        return {"WWW-Authenticate": "Bearer"}


class NotFound(RequestError):
    """No such route or object."""

    status = 404
    type = "invalid_request_error"
    default_code = "not_found"


class ModelNotFound(NotFound):
    """The request names a model that is not served."""

    default_code = "model_not_found"


class MethodNotAllowed(RequestError):
    """The route exists, the method does not."""

    status = 405
    type = "invalid_request_error"
    default_code = "method_not_allowed"


class RequestTooLarge(RequestError):
    """The body is larger than the server reads."""

    status = 413
    type = "invalid_request_error"
    default_code = "request_too_large"


class Overloaded(RequestError):
    """Too many unfinished requests; try again after `retry_after_s` seconds."""

    status = 429
    type = "rate_limit_error"
    default_code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        """`Retry-After`, which the openai client obeys."""
        return {"Retry-After": str(self.retry_after_s)}


class EngineFailure(RequestError):
    """The engine failed on this request; others go on."""

    default_code = "engine_error"
    other_codes: ClassVar[Mapping[str, str]] = {"internal_error": "The server failed where nobody expected it."}


class EngineUnavailable(RequestError):
    """The engine is gone or does not answer."""

    status = 503
    default_code = "engine_unavailable"
