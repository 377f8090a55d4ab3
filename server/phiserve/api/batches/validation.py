"""A batch's input is validated line by line before any of it is answered; where lines stand is stored."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from phiserve.api.batches import states
from phiserve.api.batches.parts import BatchParts
from phiserve.api.batches.reading import RawLine, lines_of
from phiserve.errors import ModelNotFound, shortened
from phiserve.files.blobs import BlobGone
from phiserve.media.file_source import no_such_file
from phiserve.protocol.batches.bodies import NamedId, check_line
from phiserve.protocol.batches.lines import BatchError, BatchLine, LineRefused, read_line
from phiserve.store.batch_lines import StoredLine
from phiserve.store.batch_records import NoRoomForLines
from phiserve.store.batches import StoredBatch

MAX_ERRORS = 100
"""Errors that a batch tells of; no more is looked at then."""

HEAD_BYTES = 64 * 1024
"""What a line may have beside its request."""


class NotThere(Exception):
    """The batch is another server's now, or its status says that nobody needs this any more."""


@dataclass(slots=True)
class _Found:
    """What is known of an input so far. `endpoint`: the batch's. `files`: of those that are there, the ids.

    `named`: files that lines name and that have not been looked up, each with its line's number.
    """

    endpoint: str
    num_lines: int = 0
    model: str | None = None
    errors: list[BatchError] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    named: list[tuple[int, NamedId]] = field(default_factory=list)


async def validate(parts: BatchParts, batch: StoredBatch) -> StoredBatch:
    """Read the whole input; the batch, in progress then, or failed. Raises NotThere, StoreFailure."""
    if not await parts.records.remove_lines(batch.key, parts.runner):  # of a server that was killed over it
        raise NotThere
    found = _Found(states.shown(batch).endpoint)
    try:
        await _read(parts, batch, found)
    except BlobGone:
        found.errors.append(BatchError("file_not_found", "The input file is gone", "input_file_id"))
    await _check_whole(parts, batch, found)
    if found.errors:
        return await _fail(parts, batch, found.errors)
    return await _admit(parts, batch, found.num_lines, found.model or parts.models[0])


async def _admit(parts: BatchParts, batch: StoredBatch, num_lines: int, model: str) -> StoredBatch:
    """The batch, in progress, or failed where its owner's have no room for so many lines."""
    limit = parts.limits.max_lines_per_owner
    try:
        changed = await parts.records.admit(
            batch, lambda now: states.validated(now, num_lines, model), parts.runner, limit
        )
    except NoRoomForLines:
        message = (
            f"The batch has {num_lines} requests, and all batches of an owner that have not ended may have "
            f"{limit} (batch_max_lines_per_owner)"
        )
        error = BatchError("batch_limit_exceeded", message, "input_file_id")
        return await _fail(parts, batch, [error])
    if changed is None:
        raise NotThere
    return changed


async def _read(parts: BatchParts, batch: StoredBatch, found: _Found) -> None:
    content = parts.files.read_blob(batch.blob, batch.num_bytes)
    max_line_bytes = parts.max_body_bytes + HEAD_BYTES
    async with aclosing(content), aclosing(lines_of(content, max_line_bytes)) as groups:
        async for lines in groups:
            checked = await asyncio.to_thread(_check, parts, lines, found)
            await _look_up(parts, batch.owner, found)
            if not await parts.records.add_lines(batch, parts.runner, checked):
                raise NotThere
            if len(found.errors) >= MAX_ERRORS:
                del found.errors[MAX_ERRORS:]
                return
            if found.num_lines > parts.limits.max_lines:
                found.errors.append(_too_many(parts))
                return


def _check(parts: BatchParts, lines: Sequence[RawLine], found: _Found) -> list[StoredLine]:
    """Validate lines; those that can be answered."""
    checked: list[StoredLine] = []
    for raw in lines:
        found.num_lines += 1
        try:
            line = _checked(parts, raw, found)
        except LineRefused as refused:
            found.errors.append(refused.error)
        else:
            checked.append(StoredLine(raw.number, line.custom_id, raw.offset, raw.num_bytes, line.group))
    return checked


def _checked(parts: BatchParts, raw: RawLine, found: _Found) -> BatchLine:
    """Raises LineRefused."""
    if raw.text is None:
        message = f"The line has {raw.num_bytes} bytes; a request has {parts.max_body_bytes} at most"
        raise LineRefused(BatchError("line_too_long", message, None, raw.number))
    line = read_line(raw.text, raw.number)
    if line.url != found.endpoint:
        message = f"url: must be the batch's endpoint, '{found.endpoint}'"
        raise LineRefused(BatchError("mismatched_url", message, "url", raw.number))
    try:
        model = parts.model_of(line.model)
    except ModelNotFound as error:
        raise LineRefused(BatchError(error.code, error.message, "body.model", raw.number)) from None
    if found.model is None:
        found.model = model
    if model != found.model:
        message = f"body.model: must be the batch's model, '{found.model}', which its first line names"
        raise LineRefused(BatchError("mismatched_model", message, "body.model", raw.number))
    found.named += ((raw.number, named) for named in check_line(line) if named.file_id not in found.files)
    return line


async def _look_up(parts: BatchParts, owner: str, found: _Found) -> None:
    """Files that lines just read name: of each line, the first that is not there is an error."""
    if not found.named:
        return
    found.files |= await parts.files.records.present(owner, {named.file_id for _, named in found.named})
    missing = [(number, named) for number, named in found.named if named.file_id not in found.files]
    found.named.clear()
    for number, named in dict(reversed(missing)).items():  # of each line the first
        error = no_such_file(named.file_id)
        message = f"{named.param}: {error.reason}"
        found.errors.append(BatchError(error.code, message, shortened(named.param), number))
    found.errors.sort(key=lambda error: error.line or 0)


async def _check_whole(parts: BatchParts, batch: StoredBatch, found: _Found) -> None:
    """What can be said once all lines are known."""
    if not (found.num_lines or found.errors):
        found.errors.append(BatchError("empty_file", "The input file has no request", "input_file_id"))
    for line in await parts.records.duplicates(batch, MAX_ERRORS - len(found.errors)):
        message = f"custom_id: line {line.first} has {shortened(line.custom_id)!r} too"
        found.errors.append(BatchError("duplicate_custom_id", message, "custom_id", line.number))
    found.errors.sort(key=lambda error: error.line or 0)


def _too_many(parts: BatchParts) -> BatchError:
    most = parts.limits.max_lines
    message = f"The input file has more requests than a batch may have, {most} (batch_max_lines)"
    return BatchError("too_many_requests", message, "input_file_id")


async def _fail(parts: BatchParts, batch: StoredBatch, errors: Sequence[BatchError]) -> StoredBatch:
    dead = await parts.records.finish(batch, lambda now: states.failed(now, errors), (), parts.runner)
    if dead is None:
        raise NotThere
    parts.files.remove_contents(dead)
    await parts.records.remove_lines(batch.key)
    changed = await parts.records.batch(batch.owner, batch.id)
    if changed is None:
        raise NotThere
    return changed
