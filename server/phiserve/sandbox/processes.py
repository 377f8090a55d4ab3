"""The server's side of the template and of one worker. All calls block."""

import os
import socket
import subprocess
import sys
import threading
from typing import TypeVar

import msgspec

from phiserve.sandbox.exchange import Exchange, make_file
from phiserve.sandbox.limits import WorkerLimits
from phiserve.sandbox.messages import (
    MAX_MESSAGE_BYTES,
    Command,
    DecodeImage,
    Ended,
    EndWorker,
    Failed,
    Job,
    Ready,
    Reply,
    Setup,
    Started,
    StartWorker,
    Work,
    answers,
    readiness,
    replies,
    send,
)
from phiserve.vision.crops import Crops
from phiserve.vision.sizes import CropPlan

START_TIMEOUT_S = 120.0
"""How long a template may take to import and compile everything; seconds, where nothing else runs."""

ANSWER_TIMEOUT_S = 30.0
"""How long a template may take to start or end a worker; milliseconds, where nothing else runs."""

END_TIMEOUT_S = 5.0

_ENVIRONMENT = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "XDG_CACHE_HOME", "VIRTUAL_ENV")
_ENVIRONMENT_PREFIXES = ("LC_", "LD_", "PYTHON", "NUMBA_")
_ENVIRONMENT_OF_ITS_OWN = {
    "OPENBLAS_NUM_THREADS": "1",  # numpy would start threads, and a process with threads can't be forked
    "MALLOC_ARENA_MAX": "1",  # address space, which is what workers' memory is limited by
}

_Answer = TypeVar("_Answer", Ready, Started, Ended)
_Message = TypeVar("_Message")


class ProcessLost(Exception):
    """The process at the other end has ended, does not answer in time, or answers what makes no sense."""


class TemplateLost(ProcessLost):
    """The template has ended, and all its workers with it, whatever they were doing."""


class TemplateProcess:
    """The process that workers are forked from; started by the constructor. For any number of threads.

    It is started by exec, since a process with threads and an event loop cannot be forked, and sees little of
    the server's environment, in which there may be keys.
    """

    def __init__(self, limits: WorkerLimits, parse: str) -> None:
        self._lock = threading.Lock()
        self._is_lost = False
        self._limits = limits
        setup = Setup(parse, limits.formats, limits.memory_bytes)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            arguments = (str(theirs.fileno()), msgspec.json.encode(setup).decode())
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-P", "-m", "phiserve.sandbox.template", *arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=_environment(),
            )
        try:
            self._control.settimeout(START_TIMEOUT_S)
            self._answer(Ready)
            self._control.settimeout(ANSWER_TIMEOUT_S)
        except BaseException:
            self.close()
            raise

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended by itself, or was killed because it did not answer as it should."""
        return self._is_lost or self._process.poll() is not None

    def start_worker(self) -> "WorkerProcess":
        """A worker that is ready. Raises TemplateLost, or ProcessLost or OSError if it did not start."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                exchange = make_file(self._limits.exchange_bytes)
                try:
                    started = self._ask(StartWorker(), Started, theirs.fileno(), exchange)
                    worker = WorkerProcess(self, started.pid, ours, Exchange(exchange))
                finally:
                    os.close(exchange)
        except BaseException:
            ours.close()
            raise
        try:
            worker.wait_until_ready()
        except ProcessLost:
            worker.end()
            raise
        return worker

    def end_worker(self, pid: int) -> int:
        """End a worker; the signal that has ended it, 0 if it had ended by itself.

        Raises TemplateLost, or ProcessLost if it could not be ended.
        """
        return self._ask(EndWorker(pid), Ended).signal

    def close(self) -> None:
        """End the template and all workers."""
        self._is_lost = True
        self._control.close()
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, command: Command, answer: type[_Answer], *descriptors: int) -> _Answer:
        """What the template answers. Raises ProcessLost if it could not do it.

        A template that does not answer in time, or not what it was asked, is killed (TemplateLost): whatever
        came from it later would be taken for the answer to another question.
        """
        with self._lock:
            if self._is_lost:
                raise TemplateLost
            try:
                socket.send_fds(self._control, [msgspec.msgpack.encode(command)], descriptors)
                received = self._answer(answer)
            except (ProcessLost, OSError) as error:
                if not self._is_lost:  # one that is being closed ends its workers itself
                    self._is_lost = True
                    self._process.kill()
                raise TemplateLost(*error.args) from error
        if isinstance(received, Failed):
            raise ProcessLost(received.reason)
        return received

    def _answer(self, kind: type[_Answer]) -> _Answer | Failed:
        answer = _receive(self._control, answers)
        if not isinstance(answer, (kind, Failed)):
            raise ProcessLost(f"answered {answer}")
        return answer


class WorkerProcess:
    """A worker, and the memory shared with it. One job at a time."""

    def __init__(
        self, template: TemplateProcess, pid: int, channel: socket.socket, exchange: Exchange
    ) -> None:
        self.is_closed_off = False
        self.has_served = False
        """Whether it has been given work, and so may hold more memory than a new one."""
        self.opened: bytes | None = None
        """The file that it has open: an image not decoded yet, or the PDF that it was last asked about."""
        self._template = template
        self._pid = pid
        self._channel = channel
        self._exchange = exchange

    @property
    def is_alive(self) -> bool:
        """Whether it waits for work."""
        self._channel.setblocking(False)
        try:
            self._channel.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False  # it says nothing unasked: this is its end

    def wait_until_ready(self) -> None:
        """Wait until it has closed itself off. Raises ProcessLost."""
        self._channel.settimeout(START_TIMEOUT_S)
        self.is_closed_off = _receive(self._channel, readiness).is_closed_off

    def do(self, content: bytes, work: Work, cpu_s: float, wait_s: float) -> Reply:
        """Have some work done on a file.

        Raises ProcessLost if the worker ends over it, takes longer than `cpu_s` or `wait_s`, or replies with
        what is no reply.
        """
        self.has_served = True
        is_open = self.opened is content
        if not is_open:
            self._exchange.write_content(content)
        is_decoded = isinstance(work, DecodeImage) and work.plan is not None
        self.opened = None if is_decoded else content
        self._channel.settimeout(wait_s)
        try:
            send(self._channel, Job(len(content), cpu_s, work, is_open))
        except OSError as error:
            raise ProcessLost from error
        return _receive(self._channel, replies)

    def crops(self, num_bytes: int, plan: CropPlan) -> Crops:
        """The crops of the job just done, in an array of their own."""
        return self._exchange.crops(num_bytes, plan).copy()

    def close(self) -> None:
        """Close this side. An idle worker ends."""
        self._channel.close()
        self._exchange.close()

    def end(self) -> int:
        """End it; the signal that has ended it, 0 if it had ended by itself.

        Raises TemplateLost if the template that it comes from has ended, and so it has too.
        """
        self.close()
        return self._template.end_worker(self._pid)


def _receive(channel: socket.socket, decoder: msgspec.msgpack.Decoder[_Message]) -> _Message:
    """The next message. Raises ProcessLost if none comes any more, not in time, or none of those expected."""
    try:
        message = channel.recv(MAX_MESSAGE_BYTES)
    except OSError as error:
        raise ProcessLost from error
    if not message:
        raise ProcessLost
    try:
        return decoder.decode(message)
    except (ValueError, RecursionError) as error:  # msgspec.DecodeError is a ValueError
        raise ProcessLost("sent what is no message") from error


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _ENVIRONMENT or name.startswith(_ENVIRONMENT_PREFIXES)
    }
    return kept | _ENVIRONMENT_OF_ITS_OWN
