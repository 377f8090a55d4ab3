"""The template of the workers: a process that has imported and compiled all that decoding needs, and forks.

`python -m phiserve.sandbox.template DESCRIPTOR SETUP`: the descriptor of its socket to the server, which
closes when the server ends, and a `Setup` as JSON. It has one thread, and ends with the server, and so do the
workers.
"""

import errno
import gc
import io
import os
import signal
import socket
import sys
from pkgutil import resolve_name

import msgspec

from phiserve.sandbox.messages import (
    MAX_MESSAGE_BYTES,
    Answer,
    Command,
    Ended,
    EndWorker,
    Failed,
    Ready,
    Setup,
    Started,
    commands,
    send,
)

NUM_DESCRIPTORS = 2
"""With `StartWorker`: the worker's channel, and the memory that it shares with the server."""


class Template:
    """Starts workers and ends them, as the server says over `control`."""

    def __init__(self, control: socket.socket, setup: Setup) -> None:
        self._control = control
        self._setup = setup
        self._parse = resolve_name(setup.parse)
        self._running: set[int] = set()

    def run(self) -> None:
        """Do what the server says until it has ended; then end all workers."""
        send(self._control, Ready())
        while True:
            message, descriptors, _, _ = socket.recv_fds(self._control, MAX_MESSAGE_BYTES, NUM_DESCRIPTORS)
            if not message:
                break
            send(self._control, self._answer(commands.decode(message), descriptors))
        for pid in list(self._running):
            self._end(pid)

    def _answer(self, command: Command, descriptors: list[int]) -> Answer:
        """Do what a command says. What fails is told, since all workers end with this process."""
        try:
            if isinstance(command, EndWorker):
                return Ended(self._end(command.pid))
            return Started(self._start(descriptors))
        except (OSError, MemoryError) as error:
            return Failed(f"{type(error).__name__}: {error}")
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _start(self, descriptors: list[int]) -> int:
        """The process id of a new worker. Raises OSError or MemoryError."""
        if len(descriptors) != NUM_DESCRIPTORS:  # the kernel drops those that this process has no room for
            raise OSError(errno.EMFILE, "the worker's descriptors did not arrive")
        channel, exchange = descriptors
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._work(parent, channel, exchange)
        self._running.add(pid)
        return pid

    def _work(self, parent: int, channel: int, exchange: int) -> None:
        """Be a worker to its end."""
        from phiserve.sandbox.confinement import end_with_parent
        from phiserve.sandbox.worker import Worker

        try:
            end_with_parent(parent)
            self._control.close()
            worker = Worker(socket.socket(fileno=channel), exchange, self._parse, self._setup.formats)
            worker.run(self._setup.memory_bytes)
        finally:
            os._exit(0)

    def _end(self, pid: int) -> int:
        """The signal that ended a worker, 0 for none; it is killed if it still runs.

        Nothing is done to a process that is not a worker of this template, or that has been ended before.
        """
        if pid not in self._running:
            return 0
        self._running.discard(pid)
        os.kill(pid, signal.SIGKILL)  # it is a child not waited for yet, so no other process has its id
        _, status = os.waitpid(pid, 0)
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


_SMALLEST_PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Count 1/Kids[3 0 R]>>endobj "
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj trailer<</Root 1 0 R>>"
)


def prepare(formats: tuple[str, ...]) -> None:
    """Import and compile what a worker, which can open no file, will need."""
    from PIL import Image

    from phiserve import codecs
    from phiserve.codecs.pdf import OpenedPdf
    from phiserve.sandbox import worker  # noqa: F401 - so that workers have it
    from phiserve.sandbox.confinement import has_filters
    from phiserve.vision.crops import compile_ahead

    compile_ahead()
    has_filters()
    Image.init()
    if "HEIC" in formats:
        import pillow_heif  # noqa: F401 - so that workers have it
    for name in codecs.FORMATS:
        file = io.BytesIO()
        Image.new("RGB", (2, 2)).save(file, name)
        codecs.parse(file.getvalue()).decode()
    pdf = OpenedPdf(_SMALLEST_PDF)
    pdf.draw(0, (2, 2))
    pdf.text(0)
    pdf.close()
    "".encode("utf-16-le")  # which the texts of PDFs are decoded from


def main() -> None:
    """Run the template until the server ends."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the server's: images are decoded until it has finished
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it was ignored, ended workers could not be waited for
    control = socket.socket(fileno=int(sys.argv[1]))
    setup = msgspec.json.decode(sys.argv[2], type=Setup)
    prepare(setup.formats)
    template = Template(control, setup)
    gc.freeze()  # collecting garbage in a worker would copy what it shares with the others
    template.run()


if __name__ == "__main__":
    main()
