"""How large files may be, how much of them an owner may have, and for how long."""

from dataclasses import dataclass

from phiserve.store.limits import DAY_S

MAX_PART_BYTES = 64 * 2**20
"""Bytes of a part of an upload, as OpenAI has it."""

BESIDE_BYTES = 2**20
"""Most that may come beside the file of a form: fields, heads of parts, and what is outside of all parts."""

UPLOAD_AGE_S = 3600
"""Seconds within which an upload must be completed, as OpenAI has it."""

BATCH_AGE_S = 30 * DAY_S
"""Seconds for which files of the purpose `batch` are kept unless they say otherwise, as OpenAI has it."""


@dataclass(frozen=True, slots=True)
class FileLimits:
    """Limits on files.

    `max_bytes`: of a file that comes at once; `max_upload_bytes`: of one that comes in parts.
    `max_age_days`: since it was made, None for as long as nobody deletes it.
    """

    max_bytes: int = 512 * 2**20
    max_upload_bytes: int = 8 * 2**30
    max_bytes_per_owner: int = 10 * 2**30
    max_age_days: int | None = None

    def expires_at(self, created_at: int, purpose: str, expires_after_s: int | None) -> int | None:
        """When a file expires; None for never."""
        ages = [] if self.max_age_days is None else [self.max_age_days * DAY_S]
        if expires_after_s is not None:
            ages.append(expires_after_s)
        elif purpose == "batch":
            ages.append(BATCH_AGE_S)
        return created_at + min(ages) if ages else None
