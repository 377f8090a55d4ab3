"""Leaving out the oldest turns of a conversation."""

from collections.abc import Iterable
from dataclasses import replace

from phiserve.core import Conversation


def num_omissible(conversation: Conversation) -> int:
    """How many turns may be left out: all but instructions and the last one, which is to be answered."""
    return sum(turn.role != "system" for turn in conversation.turns[:-1])


def without_oldest(conversation: Conversation, count: int) -> Conversation:
    """The conversation without the `count` oldest turns that are no instructions."""
    turns = []
    for turn in conversation.turns:
        if turn.role != "system" and count > 0:
            count -= 1
        else:
            turns.append(turn)
    return replace(conversation, turns=tuple(turns), truncates=False)


def newest_turns(conversation: Conversation, most: int, counts: Iterable[int]) -> Conversation:
    """The conversation without the oldest turns that are no instructions, until it shows `most` images.

    The last turn stays, however many it shows. `counts`: how many images each image and file of the
    conversation stands for.
    """
    left = iter(counts)
    shown = [
        sum(next(left) for part in turn.parts if not isinstance(part, str)) for turn in conversation.turns
    ]
    total, omitted = sum(shown), 0
    for turn, number in zip(conversation.turns[:-1], shown[:-1], strict=True):
        if total <= most:
            break
        if turn.role != "system":
            total -= number
            omitted += 1
    return replace(without_oldest(conversation, omitted), truncates=conversation.truncates)
