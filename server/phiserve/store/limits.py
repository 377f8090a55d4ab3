"""For how long things are kept, and how much of each owner's."""

from dataclasses import dataclass

MAX_PARTS = 10_000
"""Parts of an upload."""

DAY_S = 86_400
"""Seconds of a day."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Limits on batches: on one's input, and on all of an owner's batches that have not ended.

    `max_file_bytes_per_owner`: of files, beyond which none of an owner's batches begins.
    """

    max_lines: int = 50_000
    max_bytes: int = 2**31
    max_lines_per_owner: int = 200_000
    max_bytes_per_owner: int = 2**33
    max_file_bytes_per_owner: int = 10 * 2**30


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """Limits on what is stored.

    `max_age_days`: of responses since they were made, of conversations since they were last used.
    `max_bytes_per_owner`: of an owner's payloads, with a little for each row.
    """

    max_age_days: int = 30
    max_bytes_per_owner: int = 2**30

    @property
    def max_bytes_of_conversation(self) -> int:
        """Of one conversation's items: beside the largest, the newest of all else has room."""
        return self.max_bytes_per_owner // 2

    @property
    def bytes_after_clearing(self) -> int:
        """What is left to an owner who had too much: less than the limit, so that not every answer clears."""
        return self.max_bytes_per_owner * 9 // 10
