"""The template of the engine's processes: a process that has imported all that they need, and forks.

It is forked from the server while that has one thread, keeps to one thread, and ends with the server. What it
forks waits for a `Program`, and becomes what a Python interpreter would be that was started with it.
"""

import gc
import os
import resource
import signal
import socket
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from fcntl import F_DUPFD_CLOEXEC, fcntl
from importlib import import_module
from typing import NoReturn

import msgspec
from setproctitle import setproctitle

MAX_MESSAGE_BYTES = 256 * 1024
MAX_DESCRIPTORS = 64

_STDERR = 2

_MODULES = ("phiserve.plugin.model", "phiserve.plugin.worker", "phiserve.plugin.fair_scheduler")
"""What an engine's process imports and the server does not; the rest is there when the template begins."""


class Forked(msgspec.Struct, frozen=True, tag=True):
    """A process has been forked, and is the server's child."""

    pid: int


class Failed(msgspec.Struct, frozen=True, tag=True):
    """No process could be forked, for this reason."""

    reason: str


class Program(msgspec.Struct, frozen=True):
    """What a process is to become: a Python that was started with these arguments and variables.

    `arguments` end in `-c`, a program and its own arguments. `descriptors`: the numbers under which it has
    those that come with the message. `max_open`: the limits on them.
    """

    arguments: list[bytes]
    variables: list[tuple[bytes, bytes]]
    descriptors: list[int]
    max_open: tuple[int, int]


answers: msgspec.msgpack.Decoder[Forked | Failed] = msgspec.msgpack.Decoder(Forked | Failed)
_programs = msgspec.msgpack.Decoder(Program)


def num_threads() -> int:
    """How many threads this process has, Python's and all others. Raises OSError where /proc is missing."""
    return len(os.listdir("/proc/self/task"))


class Template:
    """Forks as often as the server says so over `control`, each time with a channel to the new process."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def run(self) -> None:
        """Import what the server has not, and fork until it has ended."""
        self._close_others()
        for number in (signal.SIGINT, signal.SIGTERM):  # the server's, which ends this process by its own end
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it was ignored, nobody could be waited for
        setproctitle("phiserve::EngineTemplate")
        warnings.simplefilter("ignore", FutureWarning)  # as `engine.environment` has it for new interpreters
        for name in _MODULES:
            import_module(name)
        gc.freeze()  # collecting garbage in an engine would copy what it shares with the others
        while True:
            message, channels, _, _ = socket.recv_fds(self._control, 1, 1)
            if not message:
                return
            self._control.send(msgspec.msgpack.encode(self._answer(channels)))

    def _close_others(self) -> None:
        """Close what the server has open, its port above all: a new interpreter would not have it either."""
        for number in map(int, os.listdir("/proc/self/fd")):
            if number > _STDERR and number != self._control.fileno():
                with suppress(OSError):  # that of the list itself
                    os.close(number)

    def _answer(self, channels: list[int]) -> Forked | Failed:
        try:
            if len(channels) != 1:  # the kernel drops those that this process has no room for
                return Failed("the channel did not arrive")
            if num_threads() != 1:  # what another holds would be lost
                return Failed("the process to fork has several threads")
            return Forked(self._fork(channels[0]))
        except (OSError, MemoryError) as error:
            return Failed(f"{type(error).__name__}: {error}")
        finally:
            for channel in channels:
                os.close(channel)

    def _fork(self, channel: int) -> int:
        """The id of a new process, which is an orphan, and so the server's. Raises OSError."""
        reading, writing = os.pipe()
        with open(reading, "rb") as told:
            try:
                middle = os.fork()
                if middle == 0:
                    self._fork_and_end(channel, reading, writing)
            finally:
                os.close(writing)
            os.waitpid(middle, 0)
            if not (pid := told.read()):
                raise OSError("the second process could not be forked")
            return int(pid)

    def _fork_and_end(self, channel: int, reading: int, writing: int) -> NoReturn:
        try:
            pid = os.fork()
            if pid == 0:
                for descriptor in (reading, writing, self._control.fileno()):
                    os.close(descriptor)
                become_program(socket.socket(fileno=channel))
            os.write(writing, b"%d" % pid)
        finally:
            os._exit(0)


def become_program(channel: socket.socket) -> NoReturn:
    """Receive a `Program` and run it to its end, and that of this process; end at once if none comes."""
    status: object = 1
    try:
        with channel:
            message, descriptors, _, _ = socket.recv_fds(channel, MAX_MESSAGE_BYTES, MAX_DESCRIPTORS)
        if message:
            _run(_programs.decode(message), descriptors)
            status = 0
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status if isinstance(status, int) else 1)


def _run(program: Program, descriptors: list[int]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_NOFILE, program.max_open)
    place(descriptors, program.descriptors)
    os.environb.clear()
    os.environb.update(program.variables)
    arguments = [*map(os.fsdecode, program.arguments)]
    code = arguments.index("-c") + 1
    sys.argv = ["-c", *arguments[code + 1 :]]
    exec(arguments[code], {"__name__": "__main__"})  # noqa: S102 - it is multiprocessing's own


def place(descriptors: Sequence[int], numbers: Sequence[int]) -> None:
    """Give descriptors other numbers, one each, whatever has these by now. Raises OSError."""
    above = max(numbers, default=0) + 1
    moved = []
    for descriptor in descriptors:
        moved.append(fcntl(descriptor, F_DUPFD_CLOEXEC, above))
        os.close(descriptor)
    for descriptor, number in zip(moved, numbers, strict=True):
        os.dup2(descriptor, number, inheritable=False)
        os.close(descriptor)
