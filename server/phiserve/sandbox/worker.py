"""A worker: takes files apart, decodes or draws and cuts them, one by one, until its channel is closed."""

import os
import signal
import socket
import traceback
from collections.abc import Callable, Collection

from phiserve.codecs import ParsedImage
from phiserve.codecs.pdf import OpenedPdf
from phiserve.errors import InvalidImage, InvalidPdf
from phiserve.sandbox.confinement import close_off, limit
from phiserve.sandbox.exchange import Exchange
from phiserve.sandbox.messages import (
    MAX_MESSAGE_BYTES,
    MAX_TRACE_CHARACTERS,
    DecodeImage,
    Done,
    DrawPage,
    Fault,
    Job,
    OpenPdf,
    PageRead,
    PdfOpened,
    PdfWork,
    ReadPage,
    Ready,
    Refused,
    Reply,
    jobs,
    send,
)
from phiserve.vision.crops import cut_crops

TOO_MUCH_MEMORY = "the image takes more memory to decode than an image may"
PDF_TOO_MUCH_MEMORY = "the PDF takes more memory to draw than a page may"

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
        self._opened: ParsedImage | OpenedPdf | None = None

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
        work = job.work
        try:
            return self._image(job, work) if isinstance(work, DecodeImage) else self._pdf(job, work)
        except (InvalidImage, InvalidPdf) as refused:
            return Refused(refused.reason, refused.code)
        except MemoryError:
            reason = TOO_MUCH_MEMORY if isinstance(work, DecodeImage) else PDF_TOO_MUCH_MEMORY
            return Refused(reason, None, ends=True)
        except Exception as error:  # told to the server, which logs it
            trace = "".join(traceback.format_tb(error.__traceback__))
            return Fault(type(error).__name__, trace[-MAX_TRACE_CHARACTERS:])

    def _image(self, job: Job, work: DecodeImage) -> Done:
        opened = self._taken(job)
        if not isinstance(opened, ParsedImage):
            opened = self._parse(self._exchange.content(job.num_bytes), self._formats)
        if work.plan is None:
            self._opened = opened
        else:
            cut_crops(opened.decode(), work.plan, self._exchange.crops(job.num_bytes, work.plan))
        return Done(opened.size)

    def _pdf(self, job: Job, work: PdfWork) -> Reply:
        opened = self._taken(job)
        if not isinstance(opened, OpenedPdf):
            opened = OpenedPdf(self._exchange.content(job.num_bytes))
        reply: Reply
        match work:
            case OpenPdf(pages=pages, most=most):
                reply = PdfOpened(opened.outline(pages, most))
            case ReadPage(page=page):
                reply = PageRead(opened.text(page))
            case DrawPage(page=page, plan=plan):
                drawn = opened.draw(page, plan.resized)
                cut_crops(drawn, plan, self._exchange.crops(job.num_bytes, plan))
                reply = Done(plan.resized)
        self._opened = opened  # it stays open for its next page
        return reply

    def _taken(self, job: Job) -> ParsedImage | OpenedPdf | None:
        """What the job before has left open, if this one is about the same file; nothing stays open else."""
        opened, self._opened = self._opened, None
        if job.is_open:
            return opened
        if isinstance(opened, OpenedPdf):
            opened.close()
        return None
