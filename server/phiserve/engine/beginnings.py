"""The order of prompts that begin alike: what they share is computed once.

Of those that share a beginning which the engine does not hold yet one goes first, and the others find it in
the engine's cache: also one that two of them share beyond what all do. After an engine's end it is so anew.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from phiserve.engine.interface import EngineLimits, PromptImage

Node = int
"""A beginning: equal for prompts that are alike up to its end."""


class Beginnings:
    """What prompts of one request begin with, of which all share the first `num_shared` tokens."""

    def __init__(self, num_shared: int, limits: EngineLimits) -> None:
        self._num_shared = num_shared
        self._limits = limits
        self._nodes: dict[tuple[object, ...], Node] = {}
        self._engine = 0
        self._computed: set[Node] = set()
        self._under_way: set[Node] = set()
        self._changed = asyncio.Event()

    def turn(self, ids: Sequence[int], images: Sequence[PromptImage]) -> "Turn":
        """Whose turn it is for a prompt."""
        return Turn(self, tuple(self._path(ids, images)))

    def _path(self, ids: Sequence[int], images: Sequence[PromptImage]) -> Iterator[Node]:
        """The prompt's beginnings, each within the next, that others had better wait for.

        Less than a step reads of a text need not be waited for: in that very step others find it. An image
        may be encoded over several steps.
        """
        short_tokens, shared = self._limits.short_tokens, self._num_shared
        has_long_factors = short_tokens is not None and len(ids) > short_tokens
        node = self._node(has_long_factors)
        if shared > self._limits.chunk_tokens or any(image.offset < shared for image in images):
            yield node
        start = shared
        for end in self._ends(len(ids), [image for image in images if image.offset >= shared]):
            keys = [image.key for image in images if start <= image.offset < end]
            node = self._node(node, tuple(ids[start:end]), *keys)
            yield node
            start = end

    def _ends(self, length: int, images: Sequence[PromptImage]) -> Iterator[int]:
        """Where beginnings end that are longer than what all share: after an image, or a step's tokens."""
        start, chunk = self._num_shared, self._limits.chunk_tokens
        for image in images:
            yield from range(start + chunk, image.offset + 1, chunk)
            start = image.offset + image.plan.num_tokens
            yield start
        yield from range(start + chunk, length, chunk)

    def _node(self, *beginning: object) -> Node:
        return self._nodes.setdefault(beginning, len(self._nodes))

    async def begin(self, path: Sequence[Node], engine: int) -> None:
        """Wait until nobody else computes what this engine does not hold of `path`, or for another engine."""
        if engine > self._engine:
            self._engine = engine
            self._computed.clear()
            self._under_way.clear()
            self._tell()
        while engine == self._engine:
            missing = [node for node in path if node not in self._computed]
            if not missing or missing[0] not in self._under_way:
                self._under_way.update(missing)
                return
            await self._changed.wait()

    def end(self, path: Sequence[Node], engine: int, *, is_computed: bool) -> None:
        """Nobody computes `path` any more, which this engine holds, or failed on."""
        if engine == self._engine:
            self._under_way.difference_update(path)
            self._computed.update(path if is_computed else ())
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


@dataclass(slots=True)
class Turn:
    """A prompt's turn, which is awaited with the number of the engine that it would be sent to."""

    beginnings: Beginnings
    path: tuple[Node, ...]
    engine: int = 0

    async def __call__(self, engine: int) -> None:
        """Returns when the prompt may be sent to this engine, or when there is a later one."""
        if engine == self.engine:  # which has failed on it
            self.beginnings.end(self.path, engine, is_computed=False)
        self.engine = engine
        await self.beginnings.begin(self.path, engine)

    def end(self) -> None:
        """The engine has read the prompt."""
        self.beginnings.end(self.path, self.engine, is_computed=True)
