"""A worker: takes files apart, decodes and cuts them, one by one, until the server closes its channel."""

import os
import signal
import socket
import traceback
from collections.abc import Callable, Collection

from phiserve.codecs import ParsedImage
from phiserve.errors import InvalidImage
from phiserve.sandbox.confinement import close_off, limit
from phiserve.sandbox.exchange import Exchange
from phiserve.sandbox.messages import (
    MAX_MESSAGE_BYTES,
    MAX_TRACE_CHARACTERS,
    Done,
    Fault,
    Job,
    Ready,
    Refused,
    Reply,
    jobs,
    send,
)
from phiserve.vision.crops import cut_crops

TOO_MUCH_MEMORY = "the image takes more memory to decode than an image may"

Parse = Callable[[bytes, Collection[str]], ParsedImage]
"""As `codecs.parse`."""


class Worker:
    """One process' work: `channel` to the server, and the memory shared with it."""

    def __init__(
        self, channel: socket.socket, descriptor: int, parse: Parse, formats: tuple[str, ...]
    ) -> None:
        self._channel = channel
        self._exchange = Exchange(descriptor)
        os.close(descriptor)
        self._parse = parse
        self._formats = formats
        self._opened: ParsedImage | None = None

    def run(self, memory_bytes: int) -> None:
        """Limit and close off this process, then work. Returns when there is no more to do."""
        limit(memory_bytes)
        send(self._channel, Ready(close_off(self._channel.fileno())))
        while message := self._channel.recv(MAX_MESSAGE_BYTES):
            job = jobs.decode(message)
            signal.setitimer(signal.ITIMER_PROF, job.cpu_s)
            reply = self._reply(job)
            signal.setitimer(signal.ITIMER_PROF, 0)
            send(self._channel, reply)
            if isinstance(reply, Refused) and reply.ends:
                return

    def _reply(self, job: Job) -> Reply:
        try:
            return Done(self._work(job))
        except InvalidImage as refused:
            return Refused(refused.reason, refused.code)
        except MemoryError:
            return Refused(TOO_MUCH_MEMORY, None, ends=True)
        except Exception as error:  # told to the server, which logs it
            trace = "".join(traceback.format_tb(error.__traceback__))
            return Fault(type(error).__name__, trace[-MAX_TRACE_CHARACTERS:])

    def _work(self, job: Job) -> tuple[int, int]:
        opened, self._opened = self._opened, None
        if opened is None or not job.is_open:
            opened = self._parse(self._exchange.content(job.num_bytes), self._formats)
        if job.plan is None:
            self._opened = opened
        else:
            cut_crops(opened.decode(), job.plan, self._exchange.crops(job.num_bytes, job.plan))
        return opened.size
