"""JPEG: whether the scans of an image bring all of it.

A decoder shows whatever has come by the end mark, with grey or blurred colours in place of the rest, and
warns of nothing: a file may end after any scan. So it is counted here what the scans bring.

Source: ITU-T T.81, B.2.3 and G.1.1.1.
"""

from collections.abc import Sequence

PROGRESSIVE = 0xC2
"""Kind of the frames whose scans bring a band of frequencies, and a few bits of each, at a time."""

_FRAME_COMPONENTS = 10
"""Offset of the first component in a frame's segment; each takes three bytes, of which the first names it."""
_SCAN_HEAD = 5
"""Bytes of a scan's head up to its first component, each of which takes two."""
_FREQUENCIES = 64
_WHOLE = 2**_FREQUENCIES - 1


class Coverage:
    """What the scans of an image have brought so far.

    For each component there is a set of the frequencies that have come to their last bit, which is a number
    with a bit for each of them. All must have come. The standard demands no more than some bits of the mean
    colours; but the encoders known bring everything, and a file closed too early can't be told from one that
    was never meant to bring more.
    """

    def __init__(self, frame: bytes) -> None:
        """`frame` is the segment of the image's frame, checked to be whole."""
        self._names = frame[_FRAME_COMPONENTS::3]
        self._is_progressive = frame[1] == PROGRESSIVE
        self._brought = [0] * len(self._names)

    @property
    def is_complete(self) -> bool:
        """Whether every frequency of every component has come to its last bit."""
        return all(brought == _WHOLE for brought in self._brought)

    def add(self, head: bytes) -> None:
        """Count a scan, given its head with marker and length.

        A head that is not whole, or names components that do not exist, brings nothing; libjpeg refuses it.
        """
        if not is_head_of_scan(head):
            return
        end = _SCAN_HEAD + 2 * head[4]
        band, has_last_bit = _WHOLE, True
        if self._is_progressive:
            first, last, bits = head[end : end + 3]
            band = (1 << last + 1) - (1 << first) & _WHOLE
            has_last_bit = bits & 0x0F == 0
        for index in self._components(head[_SCAN_HEAD:end:2]):
            if has_last_bit:
                self._brought[index] |= band
            else:
                self._brought[index] &= ~band

    def _components(self, names: bytes) -> Sequence[int]:
        """Indices of the components that a scan names.

        Some encoders give all components one name. As in libjpeg, the n-th of a scan is then the n-th of the
        image.
        """
        found = [self._names.find(name, start) for start, name in enumerate(names)]
        return [] if -1 in found else found


def is_head_of_scan(segment: bytes) -> bool:
    """Whether a segment, marker and length included, can be the head of a scan."""
    length = int.from_bytes(segment[2:4])
    return length >= 6 and len(segment) == 2 + length == 8 + 2 * segment[4]
