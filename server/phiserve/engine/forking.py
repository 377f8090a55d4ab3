"""Engines' processes as forks of a template, in place of new Python interpreters.

What an engine's process imports takes seconds, and the server has imported nearly all of it. So the server
forks a `Template` before it has a second thread, and each engine's process is forked from that.
"""

import ctypes
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import util
from typing import Any

import msgspec

from phiserve.engine.template import MAX_MESSAGE_BYTES, Failed, Program, Template, answers, num_threads

_LOG = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 60.0
"""How long a template may take to fork; milliseconds, once it has imported everything."""

_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37
_NO_ADOPTION = "the system lets no process adopt others"


class NotForked(Exception):
    """The template cannot fork, or is gone; the message says why."""


@dataclass(frozen=True, slots=True)
class _Process:
    """A template's process, and this end of the socket to it."""

    pid: int
    control: socket.socket


class EngineTemplate:
    """What engines' processes are forked from: `begin_template` makes one.

    Without a process it forks nothing, and engines' processes are new interpreters.
    """

    def __init__(self, process: _Process | None = None) -> None:
        self._process = process

    @property
    def pid(self) -> int | None:
        """The id of its process, if it has one."""
        return None if self._process is None else self._process.pid

    @contextmanager
    def stands_in(self) -> Iterator[None]:
        """Within this context multiprocessing's spawned processes are forks, wherever there can be one.

        Where there can't, they are new interpreters as ever, and a warning says why.
        """
        executed: Callable[..., int] = util.spawnv_passfds

        def spawned(path: str | bytes, args: Sequence[str | bytes], passfds: Sequence[int]) -> int:
            """Stand in for multiprocessing's function, which also starts what is no process of Python's."""
            if os.fsdecode(path) == sys.executable and "--multiprocessing-fork" in args:
                try:
                    return self.start(args, passfds)
                except NotForked as error:
                    _LOG.warning("An engine starts more slowly, in a new interpreter: %s", error)
            return executed(path, args, passfds)

        stand_in: Any = spawned  # typeshed's type of it has more in it than can come
        if self._process is not None:
            util.spawnv_passfds = stand_in
        try:
            yield
        finally:
            util.spawnv_passfds = executed

    def start(self, arguments: Sequence[str | bytes], descriptors: Sequence[int]) -> int:
        """Start a process as Python with these arguments would be; its id.

        It has this process's variables and limits, and `descriptors` under their numbers. Raises NotForked.
        """
        if missing := _not_preloaded():
            raise NotForked(f"it has to load {', '.join(missing)} before all else")
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        program = Program(
            [*map(os.fsencode, arguments)], list(os.environb.items()), list(descriptors), limits
        )
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with ours:
                with theirs:
                    pid = self._forked(theirs)
                try:
                    socket.send_fds(ours, [msgspec.msgpack.encode(program)], descriptors)
                except OSError:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    raise
        except OSError as error:
            raise NotForked(str(error)) from error
        return pid

    def close(self) -> None:
        """End the template's process; those that were forked from it go on."""
        process, self._process = self._process, None
        if process is None:
            return
        process.control.close()
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)  # it holds nothing, and may be at its imports
        with suppress(ChildProcessError):
            os.waitpid(process.pid, 0)

    def _forked(self, channel: socket.socket) -> int:
        """The id of a new child of this process that waits at a channel. Raises NotForked or OSError."""
        if self._process is None:
            raise NotForked("the process to fork has ended")
        control = self._process.control
        try:
            with _orphans_adopted():
                socket.send_fds(control, [b"f"], [channel.fileno()])
                answer = answers.decode(control.recv(MAX_MESSAGE_BYTES))
        except (OSError, msgspec.DecodeError) as error:
            self.close()  # whatever came from it later would be taken for the answer to another question
            raise NotForked("the process to fork has ended") from error
        if isinstance(answer, Failed):
            raise NotForked(answer.reason)
        if not _is_child(answer.pid):
            raise NotForked(_NO_ADOPTION)
        return answer.pid


def import_engine() -> None:
    """Import all of vLLM that this process needs, which takes seconds."""
    is_collecting = gc.isenabled()
    gc.disable()  # next to nothing of it is garbage
    try:
        from phiserve.engine import start  # noqa: F401 - so that it has been imported
    finally:
        if is_collecting:
            gc.enable()


def begin_template() -> EngineTemplate:
    """Import what engines need, and fork their template, unless they have to be new interpreters.

    They have to on GPUs, whose drivers a process must not have used that is forked. And where this process
    has other threads by now: a fork would lose what they hold, OpenMP's pool of threads above all.
    """
    import_engine()
    from vllm.platforms import current_platform

    if sys.platform == "linux" and current_platform.is_cpu() and num_threads() == 1:
        return fork_template()
    return EngineTemplate()


def fork_template() -> EngineTemplate:
    """Fork this process, which has one thread: the fork is the template."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()  # collecting garbage in this process would copy what it shares with engines
    pid = os.fork()
    if pid == 0:
        try:
            Template(theirs).run()
        finally:
            os._exit(0)
    theirs.close()
    ours.settimeout(ANSWER_TIMEOUT_S)
    return EngineTemplate(_Process(pid, ours))


@contextmanager
def _orphans_adopted() -> Iterator[None]:
    """Let descendants whose parents end within this context become children of this process.

    Raises NotForked where the system has no such thing.
    """
    prctl = ctypes.CDLL(None).prctl
    before = ctypes.c_int()
    if prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before)) or prctl(_PR_SET_CHILD_SUBREAPER, 1):
        raise NotForked(_NO_ADOPTION)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, before.value)


def _not_preloaded() -> list[str]:
    """Libraries that LD_PRELOAD names, to which vLLM adds for new processes, and that are not loaded here."""
    with open("/proc/self/maps") as maps:
        loaded = {line.rstrip().rpartition(" ")[2] for line in maps}
    named = os.environ.get("LD_PRELOAD", "").replace(":", " ").split()
    return [library for library in named if os.path.realpath(library) not in loaded]


def _is_child(pid: int) -> bool:
    """Whether a process is one that this process has to wait for."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
