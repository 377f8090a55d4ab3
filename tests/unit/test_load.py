"""Who is refused for how much is going on already, and when they are told to come again."""

from contextlib import suppress

import pytest

from phiserve.errors import InvalidRequest, Overloaded
from phiserve.load import LONGEST_RETRY_S, Load, Place
from phiserve.turns import Line

A, B, BATCH = Line(0, "a"), Line(0, "b"), Line(1, "c")


class Clock:
    """Stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def load(clock: Clock) -> Load:
    return Load(running=2, unfinished=9, max_queue_s=10, clock=clock)


def enter(load: Load, line: Line, cost: int = 100, sequences: int = 1) -> Place:
    place = load.enter(line, sequences)
    place.cost = cost
    return place


def test_whether_nothing_is_unfinished(load: Load) -> None:
    """Whoever it is of."""
    assert load.is_empty
    place = enter(load, BATCH)
    assert not load.is_empty
    place.leave()
    assert load.is_empty


def refused(load: Load, line: Line, sequences: int = 1) -> Overloaded:
    with pytest.raises(Overloaded) as caught:
        load.enter(line, sequences)
    return caught.value


def test_one_owner_leaves_room_for_others(load: Load) -> None:
    places = [enter(load, A) for _ in range(8)]
    assert "of yours" in refused(load, A).reason
    other = enter(load, B)
    assert refused(load, B).reason.startswith("Too many unfinished requests;")
    places.pop().leave()
    with pytest.raises(Overloaded):
        enter(load, B, sequences=2)
    del other  # nobody holds it any more: it was never sent
    enter(load, B, sequences=2)


def test_two_floods_leave_room_too(load: Load) -> None:
    """However many hold much, one that holds nothing finds room."""
    places = []
    for line in (A, Line(0, "d"), Line(0, "e")) * 9:
        with suppress(Overloaded):
            places.append(enter(load, line))
    assert len(places) < 9
    enter(load, B)
    del places


def test_a_place_is_left_once(load: Load) -> None:
    places = [enter(load, A, sequences=4), enter(load, A, sequences=4)]
    places[0].leave()
    places[0].leave()
    places.append(enter(load, A, sequences=4))
    refused(load, A)


def test_more_choices_than_ever_run(load: Load) -> None:
    """A 429 would make clients retry for ever."""
    with pytest.raises(InvalidRequest) as caught:
        load.enter(A, 9)
    assert caught.value.param == "n"


def drain(load: Load, clock: Clock, places: list[Place], each_s: float) -> None:
    """End requests, one every `each_s` seconds."""
    for place in places:
        clock.now += each_s
        place.leave(done=True)


def test_waiting_is_bounded_by_the_measured_rate(load: Load, clock: Clock) -> None:
    """At 50 tokens a second: who would wait more than ten seconds is refused, and told for how long."""
    places = [enter(load, A) for _ in range(8)]  # as long as no rate is known, the count alone decides
    drain(load, clock, places[:4], each_s=2)
    places = places[4:]
    places.append(enter(load, A, cost=1000))
    refusal = refused(load, A)
    assert "longer than 10 s" in refusal.reason
    assert refusal.retry_after_s == 9  # 1400 tokens, of which two of six sequences run
    enter(load, B)  # owners take turns: what another has waiting is not before it


def test_the_rate_is_that_of_times_in_which_requests_waited(load: Load, clock: Clock) -> None:
    """Hours without work, or with little of it, are no sign of a slow engine."""
    drain(load, clock, [enter(load, A) for _ in range(8)], each_s=1)
    for _ in range(10):
        clock.now += 3600
        drain(load, clock, [enter(load, A)], each_s=60)
    places = [enter(load, A) for _ in range(8)]
    assert refused(load, A).retry_after_s in range(3, 9)
    del places


def test_clients_are_told_no_longer_than_they_honour(load: Load, clock: Clock) -> None:
    drain(load, clock, [enter(load, A, cost=1) for _ in range(8)], each_s=5)
    places = [enter(load, A, cost=10**6) for _ in range(2)]
    assert refused(load, A).retry_after_s == LONGEST_RETRY_S
    del places


def test_batch_work_waits_as_long_as_it_takes(load: Load, clock: Clock) -> None:
    """Its clients ask for that. It counts as one owner, and keeps no interactive request out or waiting."""
    drain(load, clock, [enter(load, BATCH) for _ in range(8)], each_s=5)
    places = [enter(load, line, cost=10**6) for line in (BATCH, Line(2, "a")) * 4]
    assert "of batch work" in refused(load, Line(1, "b")).reason
    enter(load, A)
    del places


def test_what_ends_before_its_work_is_done_is_no_measure(load: Load, clock: Clock) -> None:
    """Clients that hang up make the server no faster."""
    for place in [enter(load, A, cost=10**9) for _ in range(8)]:
        clock.now += 1
        place.leave()
    drain(load, clock, [enter(load, A) for _ in range(8)], each_s=2)
    places = [enter(load, A, cost=1000) for _ in range(2)]
    assert refused(load, A).retry_after_s > 1
    del places


def test_whether_interactive_requests_wait(load: Load) -> None:
    """More of them than run at once; batch work is none of them."""
    batch = [enter(load, BATCH) for _ in range(3)]
    assert not load.interactive_waits
    places = [enter(load, A), enter(load, B)]
    assert not load.interactive_waits
    places.append(enter(load, B))
    assert load.interactive_waits
    places.pop().leave()
    assert not load.interactive_waits
    assert len(batch) == 3
