"""Whose turn it is, where many owners wait for the same thing.

Start-time fair queueing (Goyal, Vin and Cheng, 1996): an owner's turn comes by the cost of what was done for
it, so that many or large items of one leave another's small one only what is being done to wait for.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")

TIMES_WHAT_IS_FREE = 8
"""An owner may hold so many times what stays free: eight ninths if nobody else holds any."""

EXPECTED_TOKENS = 512
"""Longest answer that is counted in advance: most end sooner, whatever limit was asked for."""


class Line(NamedTuple):
    """Where an item waits: behind all of lower `priority`, in turn with other owners of its own."""

    priority: int
    owner: str | None


@dataclass(slots=True)
class _Waiting(Generic[Item]):
    """What waits in a line, with its cost. `start` is the virtual time at which the next of it may begin."""

    start: float
    items: deque[tuple[float, Item]] = field(default_factory=deque)


class Turns(Generic[Item]):
    """Items that wait, each in its owner's line. Costs are in any unit, the same for all."""

    def __init__(self) -> None:
        self._lines: dict[Line, _Waiting[Item]] = {}
        self._now = 0.0  # the virtual start of what began last
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Item]:
        """All items, line by line."""
        return (item for waiting in self._lines.values() for _, item in waiting.items)

    @property
    def lines(self) -> list[Line]:
        """The lines in which something waits."""
        return [line for line, waiting in self._lines.items() if waiting.items]

    def add(self, line: Line, cost: float, item: Item) -> None:
        """Put an item at the end of its line."""
        self._line(line).items.append((cost, item))
        self._size += 1

    def put_back(self, line: Line, cost: float, item: Item) -> None:
        """Put an item that was taken at the head of its line, as if it had not been taken."""
        waiting = self._line(line)
        waiting.items.appendleft((cost, item))
        waiting.start -= cost
        self._size += 1

    def next_line(self, may_begin: Callable[[Line], bool]) -> Line | None:
        """The line whose turn it is, of those that may begin; None if there is none."""
        best: tuple[int, float] | None = None
        chosen = None
        for line, waiting in self._lines.items():
            rank = (line.priority, waiting.start)
            if waiting.items and (best is None or rank < best) and may_begin(line):
                best, chosen = rank, line
        return chosen

    def head(self, line: Line) -> Item:
        """The first item of a line in which something waits."""
        return self._lines[line].items[0][1]

    def take(self, line: Line) -> Item:
        """Take the first item of a line: its turn has come."""
        waiting = self._lines[line]
        cost, item = waiting.items.popleft()
        self._size -= 1
        self._now = max(self._now, waiting.start)
        waiting.start = self._now + cost
        return item

    def remove(self, items: Collection[Item]) -> None:
        """Remove items that nobody waits for any more."""
        for waiting in self._lines.values():
            kept = [entry for entry in waiting.items if entry[1] not in items]
            self._size -= len(waiting.items) - len(kept)
            waiting.items = deque(kept)

    def forget(self, *, idle: bool = False) -> None:
        """Forget empty lines that are no further ahead than the others; all empty ones if nothing runs."""
        for line, waiting in list(self._lines.items()):
            if not waiting.items and (idle or waiting.start <= self._now):
                del self._lines[line]

    def _line(self, line: Line) -> _Waiting[Item]:
        waiting = self._lines.get(line)
        if waiting is None:
            waiting = self._lines[line] = _Waiting(self._now)
        return waiting


NOBODY = Line(0, None)
"""Interactive work without an owner."""

BATCH = Line(1, None)
"""All batch work together, where places are counted."""


def may_hold(held: Counter[Line], line: Line, more: int, total: int) -> bool:
    """Whether `more` of `total` places may go to a line, given those held by each holder (`holder_of`).

    Everybody may hold an equal share, counted as if one more owner were there, and beyond it so much that
    room stays.
    """
    free = total - held.total()
    if more > free:
        return False
    holder = holder_of(line)
    mine = held[holder] + more
    others = sum(1 for other, number in held.items() if number > 0 and other != holder)
    return mine <= max(1, total // (others + 2), TIMES_WHAT_IS_FREE * (free - more))


def most_held(total: int) -> int:
    """How many of `total` places one owner may hold if nobody else does."""
    return max(1, total * TIMES_WHAT_IS_FREE // (TIMES_WHAT_IS_FREE + 1))


def holder_of(line: Line) -> Line:
    """Who is counted as the holder of a place: an owner, or all batch work together."""
    return line if line.priority <= 0 else BATCH


def request_cost(prompt_tokens: int, max_tokens: int) -> int:
    """The work of a request in tokens, as far as it is known before the answer."""
    return prompt_tokens + min(max_tokens, EXPECTED_TOKENS)


class Room:
    """Room for `capacity`, in any unit, which the tasks of an event loop take in turn.

    What is larger than all room has it to itself.
    """

    def __init__(self, capacity: float) -> None:
        self._capacity = self._free = capacity
        self._turns: Turns[_Entering] = Turns()

    async def enter(self, line: Line, cost: float, size: float) -> None:
        """Wait for a turn and for room, both to be given back with `leave`, unless this is cancelled."""
        entering = _Entering(size, asyncio.get_running_loop().create_future())
        self._turns.add(line, cost, entering)
        self._admit()
        try:
            await entering.turn
        except asyncio.CancelledError:
            if entering.turn.done() and not entering.turn.cancelled():  # its turn came in the same moment
                self.leave(size)
            else:
                self._turns.remove((entering,))
                self._admit()
            raise

    def leave(self, size: float) -> None:
        """Give room back."""
        self._free += size
        self._admit()

    def _admit(self) -> None:
        """Let those in whose turn it is, until the next one does not fit."""
        while (line := self._turns.next_line(_any_line)) is not None:
            entering = self._turns.head(line)
            is_empty = self._free >= self._capacity
            if entering.size > self._free and not is_empty:
                break
            self._turns.take(line)
            if not entering.turn.done():
                self._free -= entering.size
                entering.turn.set_result(None)
        self._turns.forget(idle=self._free >= self._capacity)


@dataclass(frozen=True, slots=True, eq=False)
class _Entering:
    """Somebody who waits for room of `size`."""

    size: float
    turn: asyncio.Future[None]


def _any_line(line: Line) -> bool:
    return True
