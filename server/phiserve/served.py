"""The checkpoint that a server serves: found, opened, quantized where the settings say so, and checked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

from phiserve.assembly import engine_plan
from phiserve.checkpoint.embedded import locate
from phiserve.checkpoint.opened import Checkpoint, open_checkpoint
from phiserve.checkpoint.quantization import Quantization, Scheme
from phiserve.checkpoint.weights import check_weights
from phiserve.config import Settings
from phiserve.errors import StartupError


def served_checkpoint(settings: Settings, console: Console) -> Checkpoint:
    """The checkpoint to serve. Quantizing it is written to the cache folder on first use.

    Raises StartupError; what the host cannot serve is refused before anything is written.
    """
    checkpoint = planned_checkpoint(settings, console.print)
    if checkpoint.requested is not None and checkpoint.requested.scheme is not Scheme.FP8:
        from phiserve.checkpoint.quantized_cache import quantized_checkpoint  # with torch, as the one below

        with quantizing_bar(console) as progress:
            checkpoint = quantized_checkpoint(checkpoint, checkpoint.requested, console.print, progress)
    check_weights(checkpoint, settings.engine)
    return checkpoint


def planned_checkpoint(settings: Settings, say: Callable[[str], None]) -> Checkpoint:
    """The checkpoint with what the settings ask for, of which nothing has been done yet.

    `say` is called with a line of text before an embedded checkpoint is written. Raises StartupError.
    """
    requested = _requested(settings)
    checkpoint = open_checkpoint(locate(settings.model, say))
    if requested is None:
        return checkpoint
    from phiserve.checkpoint.quantizing import check_unquantized
    from phiserve.engine.host import detect_host

    check_unquantized(checkpoint)
    planned = replace(checkpoint, requested=requested)
    engine_plan(settings, planned, detect_host())  # refuses what would not fit
    return planned


@contextmanager
def quantizing_bar(console: Console) -> Iterator[Callable[[float], None]]:
    """A bar on a terminal until the block ends; yields what is called with how much is done, 0 to 1."""
    columns = (BarColumn(bar_width=None), TaskProgressColumn(), TimeRemainingColumn())
    disabled = not console.is_terminal
    with Progress(*columns, console=console, transient=True, expand=True, disable=disabled) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda done: bar.update(task, completed=done)


def _requested(settings: Settings) -> Quantization | None:
    """How the settings want the weights quantized.

    Raises StartupError where this host has no kernels for it.
    """
    if settings.quantize == "off":
        return None
    if settings.engine.get("quantization"):
        raise StartupError("quantize and engine.quantization both say how weights are quantized: set one")
    from phiserve.engine.host import detect_host
    from phiserve.engine.kernels import check_kernels, max_int8

    host, scheme = detect_host(), Scheme(settings.quantize)
    requested = (
        Quantization(scheme, max_int8=max_int8(host)) if scheme is Scheme.INT8 else Quantization(scheme)
    )
    check_kernels(requested, host)
    return requested
