"""How long CLIP takes here, measured as it runs: what fits into a slice, and how many crops go together."""

from time import perf_counter

BATCHES = (1, 2, 4, 8)
"""Numbers of crops that may pass CLIP's layers together."""

_NEWEST = 0.25
"""Weight of the newest measurement in an average: one that the machine delayed hardly shows."""

_WORTH_WAITING = 0.95
"""What more crops at once must take of a crop's time with fewer: their parts fill a slice less evenly."""

_PASSES_BETWEEN_TRIALS = 64
"""After so many passes the size that was measured longest ago is tried again: the machine may be another."""


class EncoderPace:
    """Average seconds of CLIP's parts, and of whole passes, by the number of crops that pass together.

    A part is a piece of a layer that cannot be interrupted (`plugin.model.Phi3VForCausalLM.clip_parts`).
    """

    def __init__(self) -> None:
        self._part_s: dict[tuple[str, int], float] = {}
        self._crop_s: dict[int, float] = {}  # a pass's seconds for each of its crops
        self._measured_at: dict[int, int] = {}  # the pass that measured a size last
        self._num_passes = 0

    def now_s(self) -> float:
        """The clock that parts are measured by."""
        return perf_counter()

    def took(self, part: str, crops: int, seconds: float) -> None:
        """Count a part."""
        self._part_s[part, crops] = _average(self._part_s.get((part, crops)), seconds)

    def passed(self, crops: int, seconds: float) -> None:
        """Count a pass through all parts. What was measured long ago counts no more."""
        self._num_passes += 1
        is_recent = self._num_passes - self._measured_at.get(crops, 0) < _PASSES_BETWEEN_TRIALS
        before = self._crop_s.get(crops) if is_recent else None
        self._crop_s[crops] = _average(before, seconds / crops)
        self._measured_at[crops] = self._num_passes

    def expected_s(self, part: str, crops: int) -> float:
        """What a part will take; 0 where it has never been measured."""
        return self._part_s.get((part, crops), 0.0)

    def crops_together(self, waiting: int, slice_s: float) -> int:
        """How many of an image's `waiting` crops (1 or more) to take through CLIP together.

        As many as take the least time for each, of the sizes of which no part is longer than a slice.
        """
        sizes = [size for size in BATCHES if size <= waiting and self._may_be_tried(size, slice_s)]
        if unmeasured := [size for size in sizes if size not in self._crop_s]:
            return unmeasured[0]
        if self._num_passes % _PASSES_BETWEEN_TRIALS == 0:
            return min(sizes, key=lambda size: self._measured_at[size])
        return self._fastest([size for size in sizes if size == 1 or self._longest_part_s(size) <= slice_s])

    def _may_be_tried(self, size: int, slice_s: float) -> bool:
        """Whether so many crops should fit into a slice, as they take twice what half as many take.

        One crop may be tried in any case: less cannot be taken.
        """
        half = size // 2
        return size == 1 or (half in self._crop_s and 2 * self._longest_part_s(half) <= slice_s)

    def _longest_part_s(self, size: int) -> float:
        return max(seconds for (_, crops), seconds in self._part_s.items() if crops == size)

    def _fastest(self, sizes: list[int]) -> int:
        best = sizes[0]
        for size in sizes[1:]:
            if self._crop_s[size] < _WORTH_WAITING * self._crop_s[best]:
                best = size
        return best


def _average(before: float | None, newest: float) -> float:
    return newest if before is None else before + _NEWEST * (newest - before)
