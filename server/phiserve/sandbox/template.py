"""The template of the workers: a process that has imported and compiled all that decoding needs, and forks.

`python -m phiserve.sandbox.template DESCRIPTOR SETUP`: the descriptor of its socket to the server, which
closes when the server ends, and a `Setup` as JSON. It has one thread, and ends with the server, and so do the
workers.
"""

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
    Ended,
    EndWorker,
    Ready,
    Setup,
    Started,
    commands,
    send,
)


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
            message, descriptors, _, _ = socket.recv_fds(self._control, MAX_MESSAGE_BYTES, 2)
            if not message:
                break
            command = commands.decode(message)
            if isinstance(command, EndWorker):
                send(self._control, Ended(self._end(command.pid)))
            else:
                send(self._control, Started(self._start(*descriptors)))
        for pid in list(self._running):
            self._end(pid)

    def _start(self, channel: int, exchange: int) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._work(parent, channel, exchange)
        os.close(channel)
        os.close(exchange)
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
        """The signal that ended a worker, 0 for none; it is killed if it still runs."""
        self._running.discard(pid)
        os.kill(pid, signal.SIGKILL)  # to no other: until it is waited for, nobody else gets its id
        _, status = os.waitpid(pid, 0)
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def prepare(formats: tuple[str, ...]) -> None:
    """Import and compile what a worker, which can open no file, will need."""
    from PIL import Image

    from phiserve import codecs
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


def main() -> None:
    """Run the template until the server ends."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the server's: images are decoded until it has finished
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=int(sys.argv[1]))
    setup = msgspec.json.decode(sys.argv[2], type=Setup)
    prepare(setup.formats)
    template = Template(control, setup)
    gc.freeze()  # collecting garbage in a worker would copy what it shares with the others
    template.run()


if __name__ == "__main__":
    main()
