"""What becomes of a batch, from its beginning to its end, as it is stored and as it is shown."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import replace

import msgspec
from msgspec import Struct
from msgspec.structs import replace as changed

from phiserve.api.batches.answering import AskedBy
from phiserve.errors import InvalidRequest
from phiserve.protocol.batches.batch import BatchCounts, BatchErrors, BatchObject, NewBatch
from phiserve.protocol.batches.lines import BatchError
from phiserve.protocol.events import encode_json
from phiserve.protocol.responses.response import ResponseUsage
from phiserve.store.batches import StoredBatch


class BatchJob(Struct, frozen=True):
    """What it takes to answer a batch elsewhere.

    `key`: id of the key that asked. `tenant`: whose turns its requests wait for.
    """

    key: str | None
    tenant: str | None
    output_expires_after_s: int | None


def begun(new: NewBatch, asked_by: AskedBy, model: str) -> StoredBatch:
    """A batch that is about to be stored; `model`: the server's, until it is known which name lines have."""
    now = int(time.time())
    batch = BatchObject(
        id=f"batch_{uuid.uuid4().hex}",
        endpoint=new.endpoint,
        input_file_id=new.input_file_id,
        completion_window=new.completion_window,
        created_at=now,
        expires_at=now + new.window_s,
        metadata=new.metadata,
    )
    seconds = None if new.output_expires_after is None else new.output_expires_after.seconds
    return StoredBatch(
        id=batch.id,
        owner=asked_by.owner,
        created_at=now,
        expires_at=batch.expires_at,
        status=batch.status,
        request=encode_json(BatchJob(asked_by.key, asked_by.tenant, seconds)).decode(),
        payload=encode_json(batch).decode(),
        model=model,
    )


def job_of(batch: StoredBatch) -> BatchJob:
    """What it takes to answer it."""
    return msgspec.json.decode(batch.request, type=BatchJob)


def asked_by(batch: StoredBatch) -> AskedBy:
    """Whose it is."""
    job = job_of(batch)
    return AskedBy(batch.owner, job.key, job.tenant)


def shown(batch: StoredBatch) -> BatchObject:
    """A batch as it is shown."""
    return changed(
        msgspec.json.decode(batch.payload, type=BatchObject),
        status=batch.status,
        model=batch.model,
        request_counts=BatchCounts(batch.num_lines, batch.num_completed, batch.num_failed),
        usage=ResponseUsage.of(batch.counts),
    )


def validated(batch: StoredBatch, num_lines: int, model: str) -> StoredBatch:
    """All its lines can be answered. One that was cancelled meanwhile, or is out of time, stays as it is."""
    if batch.status != "validating":
        return batch
    batch = _at(batch, in_progress_at=int(time.time()))
    return replace(batch, status="in_progress", num_lines=num_lines, model=model)


def failed(batch: StoredBatch, errors: Sequence[BatchError]) -> StoredBatch:
    """Something is wrong with its input."""
    batch = _at(batch, failed_at=int(time.time()), errors=BatchErrors([*errors]))
    return replace(batch, status="failed")


def cancelling(batch: StoredBatch) -> StoredBatch:
    """Nobody wants the rest of it. Raises InvalidRequest where it has ended."""
    if batch.has_ended:
        raise InvalidRequest(f"Cannot cancel a batch with status '{batch.status}'")
    if batch.status == "cancelling":
        return batch
    return replace(_at(batch, cancelling_at=int(time.time())), status="cancelling")


def finalizing(batch: StoredBatch) -> StoredBatch:
    """Its files are being written."""
    if batch.status not in ("validating", "in_progress"):
        return batch
    return replace(_at(batch, finalizing_at=int(time.time())), status="finalizing")


def ended(batch: StoredBatch, output_file_id: str | None, error_file_id: str | None) -> StoredBatch:
    """Its files are there: it was cancelled, answered or, where anything is left, out of time."""
    now = int(time.time())
    batch = _at(batch, output_file_id=output_file_id, error_file_id=error_file_id)
    if batch.status == "cancelling":
        return replace(_at(batch, cancelled_at=now), status="cancelled")
    if not batch.is_answered:
        return replace(_at(batch, expired_at=now), status="expired")
    return replace(_at(batch, completed_at=now), status="completed")


def _at(batch: StoredBatch, **changes: object) -> StoredBatch:
    known = msgspec.json.decode(batch.payload, type=BatchObject)
    return replace(batch, payload=encode_json(changed(known, **changes)).decode())
