"""Owners take turns by cost, batch work comes last, and nothing waits for room that is there."""

import asyncio
from collections import Counter

from phiserve.turns import Line, Room, Turns, may_hold, most_held, request_cost

A, B, BATCH = Line(0, "a"), Line(0, "b"), Line(1, "a")


def order(turns: Turns[str]) -> list[str]:
    """Everything that waits, in the order of its turns."""
    taken = []
    while (line := turns.next_line(lambda line: True)) is not None:
        assert turns.head(line)
        taken.append(turns.take(line))
    return taken


def test_turns_are_counted_in_cost() -> None:
    turns: Turns[str] = Turns()
    for name in ("a1", "a2", "a3"):
        turns.add(A, 10, name)
    for name in ("b1", "b2", "b3"):
        turns.add(B, 5, name)
    assert len(turns) == 6
    assert order(turns) == ["a1", "b1", "b2", "a2", "b3", "a3"]
    assert not len(turns)


def test_who_comes_late_gets_no_credit_for_the_time_before() -> None:
    turns: Turns[str] = Turns()
    for name in ("a1", "a2", "a3", "a4"):
        turns.add(A, 10, name)
    assert [turns.take(A) for _ in range(2)] == ["a1", "a2"]
    for name in ("b1", "b2"):
        turns.add(B, 10, name)
    assert order(turns) == ["b1", "a3", "b2", "a4"]


def test_batch_work_comes_last() -> None:
    turns: Turns[str] = Turns()
    turns.add(BATCH, 1, "batch")
    turns.add(A, 100, "a1")
    turns.add(A, 100, "a2")
    assert order(turns) == ["a1", "a2", "batch"]


def test_lines_that_may_not_begin_are_passed_over() -> None:
    turns: Turns[str] = Turns()
    turns.add(A, 1, "a")
    turns.add(B, 2, "b")
    assert turns.next_line(lambda line: line != A) == B
    assert turns.next_line(lambda line: False) is None


def test_put_back_and_removed() -> None:
    """As if it had not been taken; and what is removed is gone."""
    turns: Turns[str] = Turns()
    for name in ("a1", "a2"):
        turns.add(A, 10, name)
    turns.add(B, 10, "b1")
    assert turns.take(A) == "a1"
    turns.put_back(A, 10, "a1")
    turns.remove({"a2"})
    assert sorted(turns) == ["a1", "b1"]
    assert order(turns) == ["a1", "b1"]


def test_what_is_forgotten() -> None:
    """Owners with nothing here, unless they are ahead of others who wait."""
    turns: Turns[str] = Turns()
    turns.add(A, 10, "a1")
    turns.add(B, 10, "b1")
    turns.take(A)
    turns.forget()
    turns.add(A, 10, "a2")
    assert order(turns) == ["b1", "a2"]
    turns.forget(idle=True)
    turns.add(B, 1, "b2")
    turns.add(A, 1, "a3")
    assert order(turns) == ["b2", "a3"]


def test_shares_and_costs() -> None:
    assert [most_held(total) for total in (1, 2, 9, 72)] == [1, 1, 8, 64]
    for total in (1, 2, 9, 72):
        held: Counter[Line] = Counter()
        while may_hold(held, A, 1, total):
            held[A] += 1
        assert held[A] == most_held(total)
    held = Counter({A: 15})
    assert may_hold(held, A, 1, total=18)
    held = Counter({A: 16})
    assert not may_hold(held, A, 1, total=18)
    assert may_hold(held, B, 2, total=18)
    assert not may_hold(held, B, 3, total=18)
    assert may_hold(Counter({A: 16, B: 1}), BATCH, 1, total=18)
    assert request_cost(100, 5) == 105
    assert request_cost(100, 100_000) == 612


def test_room_is_taken_in_turn() -> None:
    async def check() -> None:
        room, entered = Room(10), []

        async def come(name: str, line: Line, size: float) -> None:
            await room.enter(line, size, size)
            entered.append(name)

        coming = [
            asyncio.create_task(come(name, line, size))
            for name, line, size in (("a1", A, 8), ("a2", A, 8), ("b1", B, 2), ("a3", A, 2), ("huge", B, 50))
        ]
        await asyncio.sleep(0)
        assert entered == ["a1", "b1"]
        room.leave(8)
        await asyncio.sleep(0)
        assert entered == ["a1", "b1"]  # it is the turn of the huge one, which smaller ones don't overtake
        room.leave(2)
        await asyncio.sleep(0)
        assert entered[2:] == ["huge"]
        room.leave(50)
        await asyncio.gather(*coming)
        assert entered[3:] == ["a2", "a3"]

    asyncio.run(check())


def test_who_is_cancelled_leaves_nothing() -> None:
    """Neither while it waits, nor in the moment in which its turn came."""

    async def check() -> None:
        room = Room(1)
        await room.enter(A, 1, 1)
        waiting = [asyncio.create_task(room.enter(A, 1, 1)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        room.leave(1)  # now it is the turn of the second, if the first has gone
        waiting[1].cancel()
        await asyncio.wait(waiting)
        assert [task.cancelled() for task in waiting] == [True, True, False]
        room.leave(1)
        await asyncio.wait_for(room.enter(B, 1, 1), 1)

    asyncio.run(check())
