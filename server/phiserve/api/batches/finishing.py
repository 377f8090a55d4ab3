"""The end of a batch: what its lines were answered with becomes files, and the batch names them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from phiserve.api.batches import states
from phiserve.api.batches.parts import BatchParts
from phiserve.api.batches.validation import NotThere
from phiserve.files.draft import BlobDraft
from phiserve.files.keeping import NewFile
from phiserve.protocol.batches.lines import LineFailure, failed_line, new_line_id
from phiserve.store.batch_lines import EndedLine
from phiserve.store.batches import StoredBatch
from phiserve.store.file_records import WholeBlob
from phiserve.store.files import StoredFile

MAX_FILE_BYTES = 2**63 - 1
"""What was answered is given out, however much it is."""

_AT_ONCE = 100
"""Lines in memory."""

MAX_BYTES_AT_ONCE = 8 * 2**20
"""Of these; a larger one is by itself."""

_EXPIRED = LineFailure(
    "batch_expired", "This request could not be executed before the completion window expired."
)
_CANCELLED = LineFailure("batch_cancelled", "This request was not executed: the batch was cancelled.")


@dataclass(frozen=True, slots=True)
class _Outputs:
    """The two files of a batch, while they are being written."""

    output: BlobDraft
    errors: BlobDraft


async def finish(parts: BatchParts, batch: StoredBatch) -> StoredBatch:
    """Write the files of a batch that nothing is to be added to; the batch, which has ended.

    Raises NotThere, StoreFailure.
    """
    changed = await parts.records.change(batch.owner, batch.id, states.finalizing, parts.runner)
    if changed is None:
        raise NotThere
    async with _drafts(parts) as outputs:
        await _write(parts, changed, outputs)
        files = [
            await _file(parts, changed, draft, name)
            for draft, name in ((outputs.output, "output"), (outputs.errors, "error"))
            if draft.num_bytes
        ]
        ids = {file.filename.rpartition("_")[2]: file.id for file, _ in files}
        output_id, error_id = ids.get("output.jsonl"), ids.get("error.jsonl")
        dead = await parts.records.finish(
            changed, lambda now: states.ended(now, output_id, error_id), files, parts.runner
        )
        if dead is None:
            raise NotThere
    parts.files.remove_contents(dead)
    await parts.records.remove_lines(batch.key)
    return await _as_it_stands(parts, batch)


@asynccontextmanager
async def _drafts(parts: BatchParts) -> AsyncIterator[_Outputs]:
    async with (
        parts.files.copying(MAX_FILE_BYTES, "", with_md5=False) as output,
        parts.files.copying(MAX_FILE_BYTES, "", with_md5=False) as errors,
    ):
        yield _Outputs(output, errors)


async def _write(parts: BatchParts, batch: StoredBatch, outputs: _Outputs) -> None:
    """All lines in the order of the input; those that were not answered are errors."""
    why = _CANCELLED if batch.status == "cancelling" else _EXPIRED
    after, limit = 0, _AT_ONCE
    while batch.num_lines and (
        lines := await parts.records.ended_lines(batch, after, limit, MAX_BYTES_AT_ONCE)
    ):
        after, limit = lines[-1].number, min(_AT_ONCE, 2 * len(lines))  # the store looks at no more sizes
        await outputs.output.add(_text(lines, is_error=False, why=why))
        await outputs.errors.add(_text(lines, is_error=True, why=why))


def _text(lines: Sequence[EndedLine], *, is_error: bool, why: LineFailure) -> bytes:
    """The lines of one of the files."""
    written: list[bytes] = []
    for line in lines:
        if line.result is None and is_error:
            written.append(failed_line(new_line_id(), line.custom_id, why))
        elif line.result is not None and line.is_error == is_error:
            written.append(line.result.encode())
    return b"".join(written)


async def _file(
    parts: BatchParts, batch: StoredBatch, draft: BlobDraft, name: str
) -> tuple[StoredFile, WholeBlob]:
    whole = await draft.end()
    seconds = states.job_of(batch).output_expires_after_s
    new = NewFile("batch_output", f"{batch.id}_{name}.jsonl", "application/jsonl", seconds)
    return parts.files.file_of(batch.owner, new, whole.num_bytes), whole


async def _as_it_stands(parts: BatchParts, batch: StoredBatch) -> StoredBatch:
    stored = await parts.records.batch(batch.owner, batch.id)
    if stored is None:
        raise NotThere
    return stored
