"""For how long files are kept."""

import pytest

from phiserve.files.limits import FileLimits

DAY = 86_400


@pytest.mark.parametrize(
    ("max_age_days", "purpose", "expires_after_s", "expected"),
    [
        (None, "vision", None, None),
        (None, "vision", 3600, 3600),
        (None, "batch", None, 30 * DAY),
        (None, "batch", 3600, 3600),
        (7, "vision", None, 7 * DAY),
        (7, "vision", 3600, 3600),
        (7, "vision", 8 * DAY, 7 * DAY),
        (7, "batch", None, 7 * DAY),
        (60, "batch", None, 30 * DAY),
    ],
)
def test_expiry(
    max_age_days: int | None, purpose: str, expires_after_s: int | None, expected: int | None
) -> None:
    """The shortest of what the client, OpenAI and the setting say."""
    expires_at = FileLimits(max_age_days=max_age_days).expires_at(1000, purpose, expires_after_s)
    assert expires_at == (None if expected is None else 1000 + expected)
