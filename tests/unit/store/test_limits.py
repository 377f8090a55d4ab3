"""Limits as the settings have them by default."""

from phiserve.config import Settings
from phiserve.store.limits import StoreLimits


def test_defaults_are_those_of_the_settings() -> None:
    """A month, and a GiB for each owner."""
    settings = Settings()
    limits = StoreLimits(settings.state_max_age_days, settings.state_max_bytes_per_owner)
    assert limits == StoreLimits()


def test_clearing_goes_below_the_limit() -> None:
    """So that the next answer does not clear again."""
    assert StoreLimits(max_bytes_per_owner=1000).bytes_after_clearing == 900


def test_one_conversation_leaves_room_for_others() -> None:
    """Clearing need not take all of them."""
    assert StoreLimits(max_bytes_per_owner=1000).max_bytes_of_conversation == 500
