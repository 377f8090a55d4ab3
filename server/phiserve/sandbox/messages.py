"""What the server, the template of the workers and the workers say to each other over their sockets."""

import socket

import msgspec

from phiserve.vision.sizes import CropPlan

MAX_MESSAGE_BYTES = 64 * 1024
MAX_TRACE_CHARACTERS = 16 * 1024


class Setup(msgspec.Struct, frozen=True):
    """What a template is started with, on its command line.

    `parse`: where the function is that takes files apart (`module:name`), as `codecs.parse` does.
    `memory_bytes`: see `WorkerLimits`. `formats`: those that are served.
    """

    parse: str
    formats: tuple[str, ...]
    memory_bytes: int


class Ready(msgspec.Struct, frozen=True, tag=True):
    """A template can start workers, a worker can work.

    `is_closed_off`: whether network and files are closed to it by the kernel's filter of system calls.
    """

    is_closed_off: bool = False


class StartWorker(msgspec.Struct, frozen=True, tag=True):
    """Start a worker; its channel and the memory it shares with the server come with the message."""


class Started(msgspec.Struct, frozen=True, tag=True):
    """A worker runs, with this process id."""

    pid: int


class EndWorker(msgspec.Struct, frozen=True, tag=True):
    """Kill a worker unless it has ended already."""

    pid: int


class Ended(msgspec.Struct, frozen=True, tag=True):
    """A worker has ended: by this signal, or with exit status 0 and more where the signal is 0."""

    signal: int


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A template could not do what it was told, for this reason, and goes on."""

    reason: str


class Job(msgspec.Struct, frozen=True):
    """Take apart the file in the shared memory; decode and cut it too if there is a plan.

    The crops are written behind the file. `cpu_s`: processor time after which the kernel ends the worker.
    `is_open`: the file is the one that the job before has taken apart.
    """

    num_bytes: int
    cpu_s: float
    plan: CropPlan | None
    is_open: bool = False


class Done(msgspec.Struct, frozen=True, tag=True):
    """The size of the image, (width, height) as shown. The crops, where they were asked for, are written."""

    size: tuple[int, int]


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The image is at fault, as `InvalidImage` says it.

    `ends`: whether the worker ends, because it has run out of memory.
    """

    reason: str
    code: str | None
    ends: bool = False


class Fault(msgspec.Struct, frozen=True, tag=True):
    """An exception that nobody expected: the name of its class, and where it was raised."""

    name: str
    trace: str


Reply = Done | Refused | Fault
Command = StartWorker | EndWorker
Answer = Ready | Started | Ended | Failed

jobs = msgspec.msgpack.Decoder(Job)
readiness = msgspec.msgpack.Decoder(Ready)
replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
commands: msgspec.msgpack.Decoder[Command] = msgspec.msgpack.Decoder(Command)
answers: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)


def send(channel: socket.socket, message: msgspec.Struct) -> None:
    """Send a message as one packet. Raises OSError if the other end is closed."""
    channel.send(msgspec.msgpack.encode(message))
