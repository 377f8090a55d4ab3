"""Reading a request's body, no further than the limits."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from starlette.requests import ClientDisconnect, Request

from phiserve.api.body_budget import BodyShare
from phiserve.api.content_coding import decoder_for
from phiserve.api.header import header_of
from phiserve.api.streaming import ClientGone
from phiserve.errors import InvalidRequest, RequestTooLarge


@asynccontextmanager
async def read_body(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    """The whole body, decoded; it counts for the process's budget until the context is left.

    Raises RequestTooLarge as soon as more than `max_bytes` are announced, received or decoded, Overloaded
    where the budget has no room, UnsupportedCoding, InvalidRequest for an empty body or one that is not in
    its coding, and ClientGone if the client hangs up.
    """
    share = BodyShare(request.app.state.body_budget)
    announced = header_of(request.scope, b"content-length") or ""
    if announced.isdigit():
        if int(announced) > max_bytes:
            raise _too_large(max_bytes)
        share.announce(int(announced))
    try:
        yield await _whole(request, max_bytes, share)
    finally:
        share.release()


async def _whole(request: Request, max_bytes: int, share: BodyShare) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async with aclosing(decoded_body(request)) as decoded:
        async for chunk in decoded:
            size += len(chunk)
            if size > max_bytes:
                raise _too_large(max_bytes)
            share.add(len(chunk))
            chunks.append(chunk)
    if not size:
        raise InvalidRequest("The body is empty; a JSON object is expected", code="invalid_json")
    return b"".join(chunks)


async def decoded_body(request: Request) -> AsyncGenerator[bytes, None]:
    """The body's bytes as they come, without their content coding.

    Raises UnsupportedCoding, InvalidRequest for what is not in its coding, and ClientGone.
    """
    decoder = decoder_for(header_of(request.scope, b"content-encoding") or "")
    try:
        async for chunk in request.stream():
            if decoder is None:
                yield chunk
                continue
            for segment in decoder.feed(chunk):
                yield segment
                await asyncio.sleep(0)  # others' turn: a small chunk may decode to very much
    except ClientDisconnect:
        raise ClientGone from None
    if decoder is not None:
        decoder.finish()


def _too_large(max_bytes: int) -> RequestTooLarge:
    return RequestTooLarge(f"The request body is too large; the limit is {max_bytes} bytes (max_body_bytes)")
