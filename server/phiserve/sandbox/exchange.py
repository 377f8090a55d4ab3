"""Memory that the server and one worker share: a file's content, and behind it the crops cut from it."""

import fcntl
import mmap
import os

import numpy as np
from numpy.typing import NDArray

from phiserve.sandbox.limits import CROP_BYTES
from phiserve.vision.crops import Crops
from phiserve.vision.sizes import CROP_SIDE, CropPlan

_SEALS = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


def make_file(num_bytes: int) -> int:
    """The descriptor of a file in memory, whose size nobody can change any more.

    A worker that could shrink it would end the server, which has it mapped. It takes no memory until it is
    written to.
    """
    descriptor = os.memfd_create("phiserve-image", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, num_bytes)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class Exchange:
    """One side's view of a file made by `make_file`, whose descriptor it does not need afterwards."""

    def __init__(self, descriptor: int) -> None:
        self._mapped = mmap.mmap(descriptor, 0)
        self._bytes: NDArray[np.uint8] = np.frombuffer(self._mapped, np.uint8)

    def write_content(self, content: bytes) -> None:
        """Put a file's content in. Raises ValueError if there is no room for it."""
        np.copyto(self._bytes[: len(content)], np.frombuffer(content, np.uint8))

    def content(self, num_bytes: int) -> bytes:
        """The file's content."""
        return self._bytes[:num_bytes].tobytes()

    def crops(self, num_bytes: int, plan: CropPlan) -> Crops:
        """Where the crops stand, (n, 336, 336, 3), behind a file of `num_bytes`: a view, not a copy.

        Raises ValueError if there is no room for them.
        """
        end = num_bytes + plan.num_crops * CROP_BYTES
        return self._bytes[num_bytes:end].reshape(plan.num_crops, CROP_SIDE, CROP_SIDE, 3)

    def close(self) -> None:
        """Give the memory back."""
        self._bytes = np.empty(0, np.uint8)
        self._mapped.close()
