"""A decoder's processes, and what is asked of it, for tests."""

import threading
from collections.abc import Callable

import psutil
import pytest

from images import encode, noise
from phiserve.errors import InvalidImage
from phiserve.sandbox.decoder import WorkerDecoder

WAIT_S = 60
DATABASE = "postgres"
CONTENT = encode(noise(60, 40))


def message_of(decoder: WorkerDecoder, content: bytes) -> str:
    """The refusal of a file."""
    with pytest.raises(InvalidImage) as caught:
        decoder.open(content)
    return caught.value.message


def works(decoder: WorkerDecoder) -> bool:
    """Whether a right image is still read right."""
    return decoder.open(CONTENT) == ((60, 40), None)


def processes() -> list[psutil.Process]:
    """Those that this process has started, and theirs, but for a database and engines that other tests
    share.
    """
    return [child for child in psutil.Process().children(recursive=True) if not _is_shared(child)]


def _is_shared(process: psutil.Process) -> bool:
    """Whether other tests may start or end it at any time; the ended are nobody's."""
    if process.name() == DATABASE:
        return True
    try:
        return any("multiprocessing" in part or "VLLM" in part for part in process.cmdline())
    except psutil.Error:
        return False


def started(decoder: WorkerDecoder) -> list[psutil.Process]:
    """A decoder's processes, once it is started: the template, then the workers."""
    before = processes()
    decoder.start()
    return [process for process in processes() if process not in before]


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds, which takes no time to speak of."""
    ready = threading.Event()
    for _ in range(WAIT_S * 100):
        if condition():
            return
        ready.wait(0.01)
    raise TimeoutError


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended, if perhaps nobody has waited for it."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
