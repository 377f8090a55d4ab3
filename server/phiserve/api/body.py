"""Reading a request's body, no further than the limit."""

from starlette.requests import ClientDisconnect, Request

from phiserve.api.streaming import ClientGone
from phiserve.errors import InvalidRequest, RequestTooLarge


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Read the whole body.

    Raises RequestTooLarge as soon as more than `max_bytes` are announced or received, InvalidRequest for an
    empty body, and ClientGone if the client hangs up.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > max_bytes:
                raise _too_large(max_bytes)
            chunks.append(chunk)
    except ClientDisconnect:
        raise ClientGone from None
    if not size:
        raise InvalidRequest("The body is empty; a JSON object is expected", code="invalid_json")
    return b"".join(chunks)


def _too_large(max_bytes: int) -> RequestTooLarge:
    return RequestTooLarge(f"The request body is too large; the limit is {max_bytes} bytes (max_body_bytes)")
