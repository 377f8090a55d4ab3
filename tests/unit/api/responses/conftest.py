"""Places for state: SQLite's files, and PostgreSQL."""

from unit.store.conftest import postgresql, state_url

__all__ = ["postgresql", "state_url"]  # fixtures of the store's tests
