"""Decodes images and draws PDFs in workers: what crashes, hangs or eats memory costs its file a refusal."""

import logging
import math
import os
import signal
import threading
from collections.abc import Sequence

from blake3 import blake3
from prometheus_client import Counter

from phiserve.codecs import ParsedImage
from phiserve.codecs.pdf import Outline
from phiserve.errors import InvalidImage, InvalidPdf, ResourcesLacking, ShuttingDown, StartupError
from phiserve.sandbox.limits import MIB, WorkerLimits
from phiserve.sandbox.messages import (
    DecodeImage,
    Done,
    DrawPage,
    OpenPdf,
    PageRead,
    PdfOpened,
    ReadPage,
    Refused,
    Reply,
)
from phiserve.sandbox.processes import ProcessLost, TemplateLost, TemplateProcess, WorkerProcess
from phiserve.sandbox.tasks import Result, Task
from phiserve.vision.crops import Crops
from phiserve.vision.decoding import DecodingFault
from phiserve.vision.sizes import CropPlan

_LOG = logging.getLogger(__name__)

LOST = Counter("phiserve_image_workers_lost", "Image workers that crashed or were ended over an image.")


def can_start_workers() -> bool:
    """Whether this system has what workers need: memory to be shared by its descriptor, as on Linux."""
    return hasattr(os, "memfd_create")


class WorkerDecoder:
    """A `vision.decoding.Decoder` for `num_workers` threads, each of which has a worker while it decodes.

    `parse` names the function that takes files apart, in the worker. Nothing starts before `start` or the
    first image.
    """

    def __init__(
        self,
        limits: WorkerLimits,
        num_workers: int,
        parse: str = "phiserve.codecs:parse",
        must_be_closed_off: bool = False,
    ) -> None:
        self._limits = limits
        self._num_workers = num_workers
        self._parse = parse
        self._must_be_closed_off = must_be_closed_off
        self._template: TemplateProcess | None = None
        self._idle: list[WorkerProcess] = []
        self._is_closed = False
        self._lock = threading.Lock()
        self._starting = threading.Lock()

    def start(self) -> None:
        """Start all workers.

        Raises StartupError if they do not start, or are not closed off though they must be. Does nothing once
        it is closed.
        """
        try:
            workers = [self._take() for _ in range(self._num_workers)]
        except (ProcessLost, OSError) as error:
            reason = f"The processes that decode images do not start ({error!r}): see above"
            raise StartupError(f"{reason}, or set image_sandbox to off") from error
        except ShuttingDown:
            return
        for worker in workers:
            self._keep(worker)
        if self._must_be_closed_off and not self.is_closed_off:
            raise StartupError("image_sandbox is required, and this system has no seccomp filters")

    @property
    def is_closed_off(self) -> bool:
        """Whether the kernel closes network and files to the workers that wait for work."""
        with self._lock:
            return bool(self._idle) and all(worker.is_closed_off for worker in self._idle)

    def describe(self) -> str:
        """A line for the banner, once the workers are started."""
        closed = "closed off from network and files by seccomp"
        limited = "with limits alone, since this system has no seccomp filters"
        most = math.ceil(self._limits.memory_bytes / MIB)
        kind = closed if self.is_closed_off else limited
        return f"images decoded in {self._num_workers} processes, {most} MiB an image at most, {kind}"

    def open(self, content: bytes) -> tuple[tuple[int, int], ParsedImage | None]:
        """As `Decoder.open`; nothing is kept but the size."""
        return self._done(content, Task(DecodeImage(None)), Done)[0].size, None

    def crops(self, content: bytes, num_pixels: int, plan: CropPlan, parsed: ParsedImage | None) -> Crops:
        """As `Decoder.crops`."""
        return self._cut(content, Task(DecodeImage(plan), num_pixels, plan))

    def open_pdf(self, content: bytes, pages: Sequence[int] | None, most: int) -> Outline:
        """As `Decoder.open_pdf`."""
        task = Task(OpenPdf(None if pages is None else tuple(pages), most))
        return self._done(content, task, PdfOpened)[0].outline

    def draw_page(self, content: bytes, page: int, plan: CropPlan) -> Crops:
        """As `Decoder.draw_page`."""
        return self._cut(content, Task(DrawPage(page, plan), math.prod(plan.resized), plan))

    def read_page(self, content: bytes, page: int) -> str:
        """As `Decoder.read_page`."""
        return self._done(content, Task(ReadPage(page)), PageRead)[0].text

    def close(self) -> None:
        """End all processes. Images that are being decoded fail."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()
        with self._starting:
            if self._template is not None:
                self._template.close()

    def _cut(self, content: bytes, task: Task) -> Crops:
        _, crops = self._done(content, task, Done)
        if crops is None:
            raise DecodingFault("ProcessLost", "no crops")
        return crops

    def _done(self, content: bytes, task: Task, expected: type[Result]) -> tuple[Result, Crops | None]:
        """What a worker says of a file, and the crops if there is a plan.

        Where the failure of a worker may not be the image's doing, a new worker tries once more: after all
        workers were lost with their template, and when a worker that holds something of earlier images has
        run out of memory.
        """
        for may_repeat in (True, False):
            worker: WorkerProcess | None = None
            try:
                worker = self._take(content) if may_repeat else self._started_template().start_worker()
                has_served = worker.has_served
                reply, crops = self._reply(worker, content, task)
            except (ProcessLost, OSError) as error:
                if may_repeat and isinstance(error, TemplateLost):
                    continue
                raise self._fault(error, is_started=worker is not None) from None
            if not (may_repeat and has_served and _has_run_out(reply)):
                break
        return task.result(reply, expected), crops

    def _reply(self, worker: WorkerProcess, content: bytes, task: Task) -> tuple[Reply, Crops | None]:
        """What a worker says of a file, and the crops.

        Raises InvalidImage or InvalidPdf if the worker was lost over it, TemplateLost if all workers were.
        """
        cpu_s, wait_s = self._limits.cpu_s(task.num_pixels), self._limits.wait_s(task.num_pixels)
        plan = task.plan
        try:
            reply = worker.do(content, task.work, cpu_s, wait_s)
            crops = worker.crops(len(content), plan) if plan is not None and isinstance(reply, Done) else None
        except ProcessLost as lost:
            raise self._refusal(worker, isinstance(lost.__cause__, TimeoutError), content, task) from None
        except BaseException:
            self._end(worker)
            raise
        if _has_run_out(reply):
            self._end(worker)
        else:
            self._keep(worker)
        return reply, crops

    def _fault(
        self, error: ProcessLost | OSError, *, is_started: bool
    ) -> DecodingFault | ResourcesLacking | ShuttingDown:
        """What is told where no worker could be started, or was kept: no image is to blame for that.

        That none starts passes; one that is lost with the template twice may be so again.
        """
        if self._is_closed:
            return ShuttingDown("the server is shutting down")
        if not is_started:
            _LOG.error("No image worker could be started: %r", error)
            return ResourcesLacking("The server cannot decode images for the moment; try again later")
        return DecodingFault(type(error).__name__, f"no worker could be kept: {error}")

    def _take(self, content: bytes | None = None) -> WorkerProcess:
        """An idle worker, the one that has this file open if there is one, else a new worker.

        Raises ProcessLost, OSError or ShuttingDown.
        """
        while True:
            with self._lock:
                if self._is_closed:
                    raise ShuttingDown("the server is shutting down")
                worker = self._pop(content) if self._idle else None
            if worker is None:
                return self._started_template().start_worker()
            if worker.is_alive:
                return worker
            self._end(worker)

    def _pop(self, content: bytes | None) -> WorkerProcess:
        opened = (
            at for at, worker in enumerate(self._idle) if content is not None and worker.opened is content
        )
        return self._idle.pop(next(opened, -1))

    def _started_template(self) -> TemplateProcess:
        with self._starting:
            if self._is_closed:
                raise ShuttingDown("the server is shutting down")
            if self._template is not None and self._template.has_ended:
                _LOG.warning("The process that image workers are started from has ended; another is started")
                self._template.close()
                self._template = None
            if self._template is None:
                self._template = TemplateProcess(self._limits, self._parse)
            return self._template

    def _keep(self, worker: WorkerProcess) -> None:
        with self._lock:
            if not self._is_closed:
                self._idle.append(worker)
                return
        worker.close()

    def _end(self, worker: WorkerProcess) -> int:
        """End a worker, if it has not ended with its template; the signal that has ended it."""
        try:
            return worker.end()
        except ProcessLost:
            return signal.SIGKILL

    def _refusal(
        self, worker: WorkerProcess, timed_out: bool, content: bytes, task: Task
    ) -> InvalidImage | InvalidPdf | ShuttingDown:
        """What is answered about a file over which a worker has ended, or has not answered in time.

        Raises TemplateLost if the worker has ended with its template, which is no fault of the file's.
        """
        try:
            by = worker.end()
        except ProcessLost as lost:
            if isinstance(lost, TemplateLost) and not timed_out and not self._is_closed:
                raise
            by = signal.SIGKILL
        if self._is_closed:
            return ShuttingDown("the server is shutting down")
        LOST.inc()
        too_slow = timed_out or by == signal.SIGPROF
        cause = signal.Signals(by).name if by else "its own exit"
        if too_slow:
            cause = "its time"
        digest = blake3(content).hexdigest()
        _LOG.warning("%s has ended the worker that decoded the %s with BLAKE3 %s", cause, task.noun, digest)
        return task.loss(too_slow)


def _has_run_out(reply: Reply) -> bool:
    """Whether a worker has run out of memory, and ends."""
    return isinstance(reply, Refused) and reply.ends
