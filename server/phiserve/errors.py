"""Every failure a client or an operator can meet, as classes.

Startup errors are for the operator; a `RequestError` becomes OpenAI's error object. docs/api.md lists them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

MAX_ECHO_CHARACTERS = 200  # of a client's text in an error


def shortened(text: str, most: int = MAX_ECHO_CHARACTERS) -> str:
    """`text`, cut to `most` characters, the last of which then is `…`."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


class PhiserveError(Exception):
    """Root of the tree."""


class StartupError(PhiserveError):
    """Why the server does not start, in one sentence that names the remedy."""


class EngineLost(PhiserveError):
    """Why a running server ends by itself: no engine could be kept running."""


class RequestError(PhiserveError):
    """A failure that is answered to the client as OpenAI's error object.

    `reason` says what is wrong. `param` is the path of the offending value
    (`messages[2].content[1].image_url`); where it is known, the message begins with it. `code` is a stable
    word for programs: the class's default, or one of `other_codes`.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    default_code: ClassVar[str | None] = None
    other_codes: ClassVar[Mapping[str, str]] = {}
    names_param: ClassVar[bool] = True  # whether the message begins with it
    retry_after_s: int | None = None  # after which to try again, where that helps

    def __init__(self, reason: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.param = param
        self.code = code or self.default_code

    def __str__(self) -> str:
        """The message, as logs and tracebacks show it."""
        return self.message

    @property
    def message(self) -> str:
        """What the client is told: where, and what is wrong there."""
        return f"{self.param}: {self.reason}" if self.names_param and self.param is not None else self.reason

    @property
    def headers(self) -> dict[str, str]:
        """Response headers that belong to the error: `Retry-After`, which the openai client obeys."""
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


class InvalidRequest(RequestError):
    """The request itself is wrong; sending it again will not help."""

    status = 400
    type = "invalid_request_error"
    default_code: ClassVar[str | None] = "invalid_value"
    other_codes: ClassVar[Mapping[str, str]] = {
        "array_above_max_length": "A list of a request for decisions is too long.",
        "array_below_min_length": "A list of a request for decisions is too short.",
        "batch_limit_exceeded": "An owner's batches that have not ended have no room for one more.",
        "batch_too_large": "A batch's file has more bytes than `batch_max_bytes`.",
        "conversation_too_large": "A conversation, or a history, has too many bytes; the limit is named.",
        "empty_array": "A list of a request for decisions is empty.",
        "file_not_found": "There is no such file, it has expired, or it is another owner's.",
        "file_quota_exceeded": "An owner's files have no room for more; the limit is named.",
        "invalid_body": "The body is not in the coding or the form that it says, or ends too soon.",
        "invalid_http": "What was sent is not HTTP/1.1.",
        "invalid_json": "The body is empty or not JSON.",
        "invalid_type": "A value has another type than its field.",
        "missing_required_parameter": "A field that must be there is missing.",
        "previous_response_not_found": "No such response is stored, or it is another owner's.",
        "string_above_max_length": "A text of a request for decisions is too long.",
        "too_many_images": "More images than `max_images`.",
        "unknown_parameter": "There is no such field.",
        "unsupported_parameter": "A field of OpenAI's that is not served, or a value of one.",
        "unsupported_schema": "What constrains the answer's form is not valid or cannot be enforced.",
    }


@contextmanager
def errors_at(param: str) -> Iterator[None]:
    """Attach `param` to an InvalidRequest raised within that does not say yet which value is at fault."""
    try:
        yield
    except InvalidRequest as error:
        if error.param is not None:
            raise
        raise type(error)(error.reason, param=param, code=error.code) from error.__cause__  # it is shared


class ForbiddenUrl(InvalidRequest):
    """The URL leads where this server does not go."""

    default_code = "invalid_image_url"


class InvalidImage(InvalidRequest):
    """An image cannot be read."""

    default_code = "invalid_image"
    other_codes: ClassVar[Mapping[str, str]] = {
        "image_too_large": "An image, or all of a request, has too many bytes or pixels; the limit is named.",
        "image_too_thin": "An image's long side is too many times its short side; the limit is named.",
    }


class DownloadFailed(InvalidImage):
    """The image's server, or the folder of images, did not hand it over."""

    default_code = "image_download_failed"


class InvalidPdf(InvalidRequest):
    """A PDF, or one of its pages, cannot be read."""

    default_code = "invalid_pdf"
    other_codes: ClassVar[Mapping[str, str]] = {
        "pdf_encrypted": "A PDF opens with a password alone.",
        "pdf_too_large": "A PDF has too many bytes, or a page too much text; the limit is named.",
    }


class ContextLengthExceeded(InvalidRequest):
    """The prompt leaves no token of the context for an answer."""

    default_code = "context_length_exceeded"
    names_param = False


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
    names_param = False


class MethodNotAllowed(RequestError):
    """The route exists, the method does not."""

    status = 405
    type = "invalid_request_error"
    default_code = "method_not_allowed"


class RequestTimeout(RequestError):
    """The request came too slowly."""

    status = 408
    type = "invalid_request_error"
    default_code = "request_timeout"


class RequestTooLarge(RequestError):
    """The body is larger than the server reads."""

    status = 413
    type = "invalid_request_error"
    default_code = "request_too_large"


class UnsupportedCoding(RequestError):
    """The body is compressed in a way that the server does not read."""

    status = 415
    type = "invalid_request_error"
    default_code = "unsupported_content_encoding"

    @property
    def headers(self) -> dict[str, str]:
        """What it does read (RFC 9110, section 15.5.16)."""
        return {"Accept-Encoding": "gzip, deflate"}


class RequestHeadTooLarge(RequestError):
    """Address and header fields are larger than the server reads."""

    status = 431
    type = "invalid_request_error"
    default_code = "request_head_too_large"


class Overloaded(RequestError):
    """Too many unfinished requests; try again after `retry_after_s` seconds."""

    status = 429
    type = "rate_limit_error"
    default_code = "rate_limit_exceeded"
    retry_after_s: int

    def __init__(self, reason: str, *, retry_after_s: int = 1) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class RateLimitReached(Overloaded):
    """A limit of the API key is used up; try again after `retry_after_s` seconds."""


class NotServed(RequestError):
    """The loaded model cannot do what the route is for."""

    status = 501
    default_code = "not_served"


class EngineFailure(RequestError):
    """The engine failed on this request; others go on."""

    default_code = "engine_error"
    other_codes: ClassVar[Mapping[str, str]] = {
        "internal_error": "The server failed where nobody expected it."
    }


class EngineUnavailable(RequestError):
    """The engine is gone or does not answer."""

    status = 503
    default_code = "engine_unavailable"


class EngineEnded(EngineUnavailable):
    """The engine, by its number if not 0, ended while it worked on this request, perhaps because of it."""

    def __init__(self, reason: str, *, engine: int = 0) -> None:
        super().__init__(reason)
        self.engine = engine


class ServerBusy(RequestError):
    """More connections than the server can serve at once."""

    status = 503
    default_code = "server_busy"
    retry_after_s = 1


class ResourcesLacking(RequestError):
    """The server lacks memory, processes or descriptors for the moment; try again later."""

    status = 503
    default_code = "resources_lacking"
    retry_after_s = 2


class StoreFailure(RequestError):
    """What is stored cannot be read or written now: the database does not answer."""

    status = 503
    default_code = "store_unavailable"
    retry_after_s = 2


class ShuttingDown(EngineUnavailable):
    """The server ends; another, or its successor, will answer."""

    retry_after_s = 2  # a load balancer has turned to another server by then


class DeadlineExceeded(RequestError):
    """The request took longer than its client, or the server's settings, would wait."""

    status = 504
    default_code = "request_timeout"
