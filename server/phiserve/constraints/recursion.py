"""What leads back to itself: rules of a grammar, schemas that refer to each other."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

_Node = TypeVar("_Node")


def in_circles(leads_to: Mapping[_Node, Sequence[_Node]]) -> set[_Node]:
    """What lies on a circle, or on a way from one to another; every node has an entry of its own."""
    ahead = _without_ends(leads_to)
    backwards: dict[_Node, list[_Node]] = {node: [] for node in ahead}
    for node, others in ahead.items():
        for other in others:
            backwards[other].append(node)
    return set(_without_ends(backwards))


def _without_ends(leads_to: Mapping[_Node, Sequence[_Node]]) -> dict[_Node, list[_Node]]:
    """Without all from where every way comes to an end."""
    users: dict[_Node, list[_Node]] = {node: [] for node in leads_to}
    for node, others in leads_to.items():
        for other in others:
            users[other].append(node)
    ways = {node: len(others) for node, others in leads_to.items()}
    ends = [node for node, count in ways.items() if not count]
    while ends:
        end = ends.pop()
        del ways[end]
        for user in users[end]:
            ways[user] -= 1
            if not ways[user]:
                ends.append(user)
    return {node: [other for other in leads_to[node] if other in ways] for node in ways}
