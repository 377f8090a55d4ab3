"""The tables of the state, the same in SQLite and PostgreSQL.

Rows refer to each other by numbers. Payloads, which may hold images of megabytes, are the last columns, so
that SQLite reads past nothing where others are asked for.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

from phiserve.store.interface import UNENDED, UNFINISHED

SCHEMA_VERSION = 6
"""Raised by every change of the tables.

2: files and uploads; 3: what is being received; 4: batches; 5: where things stood that were removed, and
lines over which engines ended; 6: batches that servers left, and where contents of files are.
"""

DELETED = "deleted"
"""The status of a response that was deleted unfinished: whoever works on it must not save it again."""

ROW_BYTES = 64
"""What a row costs beside its payload, roughly: many empty things are not free."""

METADATA = MetaData()

_NUMBER = BigInteger().with_variant(
    Integer, "sqlite"
)  # SQLite numbers rows by itself only where it is INTEGER

SCHEMA = Table("phiserve_schema", METADATA, Column("version", Integer, primary_key=True, autoincrement=False))
"""One row: the version of the tables."""

RESPONSES = Table(
    "phiserve_responses",
    METADATA,
    Column("key", _NUMBER, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("owner", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("renewed_at", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("conversation", Text),
    Column("bytes", BigInteger, nullable=False),
    Column("request", Text),
    Column("payload", Text, nullable=False),
)
_WORKED_ON = RESPONSES.c.status.in_(UNFINISHED)
Index("phiserve_responses_by_age", RESPONSES.c.owner, RESPONSES.c.created_at, RESPONSES.c.bytes)
Index(
    "phiserve_responses_unfinished",
    RESPONSES.c.renewed_at,
    sqlite_where=_WORKED_ON,
    postgresql_where=_WORKED_ON,
)

ITEMS = Table(
    "phiserve_items",
    METADATA,
    Column("key", _NUMBER, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("payload", Text, nullable=False),
    UniqueConstraint("owner", "id"),
    Index("phiserve_items_bytes", "owner", "bytes"),
)
"""Items, each once for its owner, however many responses and conversations refer to it."""

RESPONSE_ITEMS = Table(
    "phiserve_response_items",
    METADATA,
    Column("response", _NUMBER, ForeignKey(RESPONSES.c.key, ondelete="CASCADE"), primary_key=True),
    Column("is_output", Boolean, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("item", _NUMBER, ForeignKey(ITEMS.c.key), nullable=False, index=True),
    Column("is_new", Boolean, nullable=False),
    sqlite_with_rowid=False,
)
"""What a response refers to. `is_new`: the item came with it, and will be appended to its conversation."""

CONVERSATIONS = Table(
    "phiserve_conversations",
    METADATA,
    Column("key", _NUMBER, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("owner", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("metadata", Text, nullable=False),
    Index("phiserve_conversations_by_use", "owner", "used_at", "bytes"),
)

CONVERSATION_ITEMS = Table(
    "phiserve_conversation_items",
    METADATA,
    Column("conversation", _NUMBER, ForeignKey(CONVERSATIONS.c.key, ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("item", _NUMBER, ForeignKey(ITEMS.c.key), nullable=False, index=True),
    UniqueConstraint("conversation", "item"),
    sqlite_with_rowid=False,
)


BLOBS = Table(
    "phiserve_blobs",
    METADATA,
    Column("key", _NUMBER, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("status", Text, nullable=False),
    Column("renewed_at", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("digest", Text, index=True),
)
"""Contents of files, which are kept elsewhere by their `name`: a row is there before any byte is.

`status` is one of `blobs.Status`; `digest`: the BLAKE3 hash in hexadecimal of a whole one.
"""
_NOT_KEPT = BLOBS.c.status != "kept"
Index("phiserve_blobs_not_kept", BLOBS.c.renewed_at, sqlite_where=_NOT_KEPT, postgresql_where=_NOT_KEPT)

PLACE = Table("phiserve_place", METADATA, Column("marker", Text, primary_key=True))
"""At most one row: what marks the place where contents are; see `store/places.py`."""

RECEIVING = Table(
    "phiserve_receiving",
    METADATA,
    Column("blob", _NUMBER, ForeignKey(BLOBS.c.key, ondelete="CASCADE"), primary_key=True),
    Column("owner", Text, nullable=False, index=True),
    Column("bytes", BigInteger, nullable=False),
)
"""Room of owners that is kept for contents while these are written; rows of others have no effect."""

FILES = Table(
    "phiserve_files",
    METADATA,
    Column("key", _NUMBER, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("owner", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("purpose", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("blob", _NUMBER, ForeignKey(BLOBS.c.key), nullable=False, index=True),
    Index("phiserve_files_by_owner", "owner", "key", "bytes"),
    Index("phiserve_files_by_expiry", "expires_at"),
)

REMOVED = Table(
    "phiserve_removed",
    METADATA,
    Column("within", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("place", BigInteger, nullable=False),
    Column("removed_at", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)
"""Where files and items of conversations stood that were removed lately; see `store/removed.py`."""

UPLOADS = Table(
    "phiserve_uploads",
    METADATA,
    Column("key", _NUMBER, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("owner", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("status", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("file_expires_after_s", BigInteger),
    Column("file", Text),
    Index("phiserve_uploads_by_owner", "owner"),
)
"""Files that come in parts. `bytes`: of all together; `file`: the id of the file that became of it."""

UPLOAD_PARTS = Table(
    "phiserve_upload_parts",
    METADATA,
    Column("key", _NUMBER, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("upload", _NUMBER, ForeignKey(UPLOADS.c.key), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("blob", _NUMBER, ForeignKey(BLOBS.c.key), nullable=False, index=True),
)

BATCHES = Table(
    "phiserve_batches",
    METADATA,
    Column("key", _NUMBER, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("owner", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("renewed_at", BigInteger, nullable=False),
    Column("runner", Text),
    Column("status", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("blob", _NUMBER, ForeignKey(BLOBS.c.key), index=True),
    Column("bytes", BigInteger, nullable=False),
    Column("lines", BigInteger, nullable=False),
    Column("completed", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("request", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Index("phiserve_batches_by_owner", "owner", "key"),
)
"""Batches. `blob`: the content of the input, while it is needed; `bytes` and `lines`: how much that is.

`runner`: who works on it, and said so last at `renewed_at`, which is when it ended of one that has.
`completed`, `failed`: lines that are answered.
"""
_UNENDED = BATCHES.c.status.in_(UNENDED)
Index("phiserve_batches_unended", BATCHES.c.renewed_at, sqlite_where=_UNENDED, postgresql_where=_UNENDED)

BATCH_LINES = Table(
    "phiserve_batch_lines",
    METADATA,
    Column("batch", _NUMBER, ForeignKey(BATCHES.c.key, ondelete="CASCADE"), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("custom_id", Text, nullable=False),
    Column("together", Text, nullable=False),
    Column("is_error", Boolean),
    Column("result", Text),
)
"""Lines of batches that have not ended: where they stand in the input, and what they are answered with.

`together`: in whose order they are answered.
"""
_UNANSWERED = BATCH_LINES.c.result.is_(None)
Index(
    "phiserve_batch_lines_unanswered",
    BATCH_LINES.c.batch,
    BATCH_LINES.c.together,
    BATCH_LINES.c.number,
    sqlite_where=_UNANSWERED,
    postgresql_where=_UNANSWERED,
)

BATCH_SUSPECTS = Table(
    "phiserve_batch_suspects",
    METADATA,
    Column("batch", _NUMBER, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("failures", Integer, nullable=False),
    ForeignKeyConstraint(
        ["batch", "number"], [BATCH_LINES.c.batch, BATCH_LINES.c.number], ondelete="CASCADE"
    ),
)
"""Lines that were under way when an engine ended, and how often; gone with the lines."""

BATCHES_LEFT = Table(
    "phiserve_batches_left",
    METADATA,
    Column("batch", _NUMBER, ForeignKey(BATCHES.c.key, ondelete="CASCADE"), primary_key=True),
    Column("times", Integer, nullable=False),
    Column("answered", BigInteger, nullable=False),
    Column("alone", BigInteger),
)
"""Batches that servers left without a word while they were answered, `times` when `answered` lines were.

`alone`: the number of the line that is under way by itself.
"""


def size(*texts: str | None) -> int:
    """Bytes of texts as they are stored."""
    return sum(len(text) if text.isascii() else len(text.encode()) for text in texts if text is not None)
