"""Leaving out the oldest turns of a conversation."""

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
