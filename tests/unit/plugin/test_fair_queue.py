"""The queue as vLLM's scheduler uses it."""

from collections import Counter

import pytest
from vllm import SamplingParams
from vllm.v1.request import Request

from phiserve.plugin.fair_queue import OWNER_KEY, FairRequestQueue, line_of
from phiserve.turns import Line

NOBODY: frozenset[Line] = frozenset()


def request(name: str, owner: str | None, priority: int = 0) -> Request:
    params = SamplingParams(max_tokens=10, extra_args={OWNER_KEY: owner} if owner else None)
    return Request(name, [1, 2, 3], params, None, priority=priority)


def names(queue: FairRequestQueue) -> list[str]:
    """Everything that may begin, in the order in which it does."""
    popped = []
    while queue:
        head = queue.peek_request()
        assert queue.pop_request() is head
        popped.append(head.request_id)
    return popped


@pytest.fixture
def queue() -> FairRequestQueue:
    result = FairRequestQueue(places=9)
    for name, owner in (("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("free", None)):
        result.add_request(request(name, owner))
    result.begin_step(Counter(), NOBODY)
    return result


def test_owners_take_turns(queue: FairRequestQueue) -> None:
    assert len(queue) == 5
    assert names(queue) == ["a1", "b1", "free", "a2", "a3"]
    assert not len(queue)
    with pytest.raises(IndexError):
        queue.peek_request()


def test_who_may_not_begin_is_counted_all_the_same(queue: FairRequestQueue) -> None:
    """One owner has eight of nine places; lines that are left out have none."""
    queue.begin_step(Counter({Line(0, "a"): 7}), frozenset({Line(0, None)}))
    assert names(queue) == ["a1", "b1"]
    assert len(queue) == 3
    assert sorted(item.request_id for item in queue) == ["a2", "a3", "free"]


def test_all_batch_work_has_the_places_of_one_owner(queue: FairRequestQueue) -> None:
    for owner in ("c", "d", "e"):
        queue.add_request(request(owner, owner, priority=1))
    queue.begin_step(Counter({Line(1, "f"): 2, Line(2, "g"): 2}), NOBODY)
    assert names(queue) == ["a1", "b1", "free", "a2"]


def test_put_back_in_their_order(queue: FairRequestQueue) -> None:
    """As vLLM puts back what it had to skip."""
    first, second = queue.pop_request(), queue.pop_request()
    queue.prepend_requests([second, first])
    assert names(queue) == ["a1", "b1", "free", "a2", "a3"]


def test_who_keeps_its_place(queue: FairRequestQueue) -> None:
    """Another would get the last place, of which this one's owner has had more than an equal share."""
    held = Counter({Line(0, "a"): 4, Line(0, "b"): 4})
    queue.prepend_request(first := queue.pop_request())
    queue.begin_step(held, NOBODY)
    assert names(queue) == ["free"]
    queue.keep_place(first)
    queue.begin_step(held, frozenset({Line(0, "a")}))
    assert names(queue) == []
    queue.begin_step(held, NOBODY)
    assert names(queue) == ["a1"]
    queue.begin_step(held, NOBODY)
    assert not queue  # its place was its own once


def test_the_place_of_one_that_is_removed(queue: FairRequestQueue) -> None:
    """It is free for others."""
    held = Counter({Line(0, "a"): 4, Line(0, "b"): 4})
    queue.prepend_request(first := queue.pop_request())
    queue.keep_place(first)
    queue.remove_request(first)
    queue.begin_step(held, NOBODY)
    assert names(queue) == ["free"]


def test_removed(queue: FairRequestQueue) -> None:
    by_name = {item.request_id: item for item in queue}
    queue.remove_request(by_name["a2"])
    queue.remove_requests([by_name["b1"], by_name["a1"]])
    assert sorted(names(queue)) == ["a3", "free"]


def test_whose_a_request_is() -> None:
    assert line_of(request("r", "a", priority=2)) == Line(2, "a")
    assert line_of(request("r", None)) == Line(0, None)
