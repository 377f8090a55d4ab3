"""How many bytes of bodies, and of what is stored, the process holds at once."""

from typing import Self

from phiserve.config import Settings
from phiserve.errors import Overloaded

FREE_BYTES = 64 * 1024
"""Of each body, not counted: a text finds room however many large bodies there are.

uvicorn holds as many of each connection anyway; the number of connections bounds them.
"""


class BodyBudget:
    """Bytes of all bodies that are being received or validated, bounded; so is what is loaded from the store.

    Counted is what has come, not what was announced: an announcement costs a client nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0

    @classmethod
    def of(cls, settings: Settings) -> "BodyBudget":
        """With room for the largest body at least."""
        return cls(max(settings.max_body_bytes_in_flight, settings.max_body_bytes))

    def check(self, size: int) -> None:
        """Raises Overloaded where as many more bytes do not fit now."""
        if size > 0 and self.held_bytes + size > self.max_bytes:
            raise Overloaded("The server holds too many request bodies at once")


class BodyShare:
    """What one body holds of the budget, until `release` or the end of its context."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._size = 0
        self._held_bytes = 0
        self._is_released = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()

    def announce(self, size: int) -> None:
        """Raises Overloaded where a body of this size would not fit now."""
        self._budget.check(size - FREE_BYTES)

    def add(self, size: int) -> None:
        """Count bytes that came. Raises Overloaded where they do not fit."""
        self.hold(self._size + size)

    def hold(self, size: int) -> None:
        """Count this many bytes rather than those until now. Raises Overloaded where they do not fit.

        And where it is released: what loads for somebody who is gone may get here later.
        """
        if self._is_released:
            raise Overloaded("Nobody waits for it any more")
        more = max(0, size - FREE_BYTES) - self._held_bytes
        self._budget.check(more)
        self._size = size
        self._held_bytes += more
        self._budget.held_bytes += more

    def release(self) -> None:
        """The body is held no longer."""
        self._is_released = True
        self._budget.held_bytes -= self._held_bytes
        self._held_bytes = 0
