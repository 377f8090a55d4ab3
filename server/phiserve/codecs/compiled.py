"""Functions that numba compiles: loops over the bytes of an image, which Python would take too long for."""

from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

from numba import njit

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def compiled(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Have numba compile a function when it is first called, to run without the interpreter's lock.

    What it compiles is kept on disk if it finds a folder that it can write to, with room.
    """
    try:
        made = njit(nogil=True, cache=True)(function)
    except RuntimeError:
        return njit(nogil=True)(function)  # type: ignore[no-any-return]
    cache = made._cache  # noqa: SLF001 - numba has no setting for it
    cache.save_overload = _unless_full(cache.save_overload)
    return made  # type: ignore[no-any-return]


def _unless_full(save: Callable[..., None]) -> Callable[..., None]:
    """What keeps a compiled function, or does nothing where it can't: the function works all the same."""

    def save_if_possible(*made: object) -> None:
        with suppress(OSError):
            save(*made)

    return save_if_possible
