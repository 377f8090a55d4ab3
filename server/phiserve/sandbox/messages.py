"""What the server, the template of the workers and the workers say to each other over their sockets."""

import socket

import msgspec

from phiserve.codecs.pdf import Outline
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


class DecodeImage(msgspec.Struct, frozen=True, tag=True):
    """Take apart the image; decode and cut it too if there is a plan.

    The crops are written behind the file.
    """

    plan: CropPlan | None


class OpenPdf(msgspec.Struct, frozen=True, tag=True):
    """Open the PDF and tell the sizes of `pages`, counted from 0, or of the first `most`."""

    pages: tuple[int, ...] | None
    most: int


class DrawPage(msgspec.Struct, frozen=True, tag=True):
    """Draw a page of the PDF and cut it. The crops are written behind the file."""

    page: int
    plan: CropPlan


class ReadPage(msgspec.Struct, frozen=True, tag=True):
    """Tell the text of a page of the PDF."""

    page: int


PdfWork = OpenPdf | DrawPage | ReadPage
Work = DecodeImage | PdfWork
"""What is to be done with the file in the shared memory."""


class Job(msgspec.Struct, frozen=True):
    """Some work, and `num_bytes` of the file that it is about.

    `cpu_s`: processor time after which the kernel ends the worker. `is_open`: the file is the one that the
    job before was about.
    """

    num_bytes: int
    cpu_s: float
    work: Work
    is_open: bool = False


class Done(msgspec.Struct, frozen=True, tag=True):
    """The size of the image, (width, height) as shown. The crops, where they were asked for, are written."""

    size: tuple[int, int]


class PdfOpened(msgspec.Struct, frozen=True, tag=True):
    """What is known of the PDF now."""

    outline: Outline


class PageRead(msgspec.Struct, frozen=True, tag=True):
    """The text of a page."""

    text: str


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The file is at fault, as `InvalidImage` or `InvalidPdf` says it.

    `ends`: whether the worker ends, because it has run out of memory.
    """

    reason: str
    code: str | None
    ends: bool = False


class Fault(msgspec.Struct, frozen=True, tag=True):
    """An exception that nobody expected: the name of its class, and where it was raised."""

    name: str
    trace: str


Reply = Done | PdfOpened | PageRead | Refused | Fault
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
