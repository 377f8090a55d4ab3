"""Takes files apart as `codecs` does, but files that begin with one of these words do harm; for workers."""

import ctypes
import errno
import mmap
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from phiserve import codecs
from phiserve.codecs import ParsedImage
from phiserve.errors import InvalidImage


def segfault() -> None:
    """As a decoder that follows a wrong pointer."""
    ctypes.string_at(0)


def loop() -> None:
    """Without end."""
    while True:
        pass


def sleep() -> None:
    """Hang, without taking processor time."""
    time.sleep(3600)


def eat() -> None:
    """All memory there is."""
    eaten = []
    while True:
        eaten.append(np.empty(64 * 2**20, np.uint8))


def fail() -> None:
    """Of our own fault."""
    raise LookupError


def connect() -> None:
    """To anybody."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        client.connect(("127.0.0.1", 9))


def read_file() -> None:
    """That is there for everybody."""
    Path(os.devnull).read_bytes()


def write_file() -> None:
    """Anywhere."""
    Path("phiserve-was-here").write_bytes(b"x")


def make_memory_file() -> None:
    """Which another program could be put in."""
    os.close(os.memfd_create("x"))


def start_program() -> None:
    """Any."""
    subprocess.run(["/bin/true"], check=True)


def fork() -> None:
    """Into a process that has no limit of time."""
    if os.fork() == 0:
        os._exit(0)


def execute() -> None:
    """In place of the worker."""
    os.execv("/bin/true", ["true"])  # noqa: S606 - which is refused


def kill_parent() -> None:
    """With the right to do so."""
    os.kill(os.getppid(), signal.SIGCONT)


def run_memory() -> None:
    """Write a program to memory and make that executable."""
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def send_elsewhere() -> None:
    """Over a descriptor that is not its channel."""
    with socket.socket(fileno=2) as other:
        other.send(b"x")


HARM: dict[bytes, Callable[[], object]] = {
    b"segfault": segfault,
    b"abort": os.abort,
    b"loop": loop,
    b"sleep": sleep,
    b"eat": eat,
    b"fail": fail,
}
"""What costs a worker its life, or ours a line in the log."""

FORBIDDEN: dict[bytes, Callable[[], object]] = {
    b"connect": connect,
    b"read_file": read_file,
    b"write_file": write_file,
    b"make_memory_file": make_memory_file,
    b"start_program": start_program,
    b"fork": fork,
    b"execute": execute,
    b"kill_parent": kill_parent,
    b"run_memory": run_memory,
    b"send_elsewhere": send_elsewhere,
}
"""What a worker that is closed off cannot do."""


def parse(content: bytes, formats: Collection[str]) -> ParsedImage:
    """As `codecs.parse`; the reason that it gives for a forbidden file is what came of it."""
    if harm := HARM.get(content):
        harm()
    if act := FORBIDDEN.get(content):
        try:
            act()
        except OSError as error:
            raise InvalidImage(errno.errorcode[error.errno or 0]) from None
        raise InvalidImage("done")
    if content == b"environment":
        raise InvalidImage(" ".join(sorted(os.environ)))
    return codecs.parse(content, formats)
