"""Processes that end, answer late or answer nonsense: no image is blamed for them."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psutil
import pytest

from images import encode, noise
from phiserve.errors import ResourcesLacking
from phiserve.sandbox import processes as processes_module
from phiserve.sandbox.decoder import WorkerDecoder
from phiserve.sandbox.messages import EndWorker, send
from phiserve.sandbox.processes import ProcessLost
from phiserve.sandbox.tasks import CRASHED
from phiserve.sandbox.worker import TOO_MUCH_MEMORY
from phiserve.vision.decoding import DecodingFault
from unit.sandbox.conftest import LIMITS, MakeDecoder
from unit.sandbox.decoding import CONTENT, WAIT_S, is_gone, message_of, processes, started, wait_for, works
from unit.sandbox.odd_codecs import GARBAGE, LEAK_BYTES

ODD = "unit.sandbox.odd_codecs:parse"


@pytest.mark.parametrize("of", ["worker", "template"])
def test_who_is_killed_while_idle_costs_nobody_anything(make_decoder: MakeDecoder, of: str) -> None:
    """As by the kernel, when memory is short."""
    decoder = make_decoder(workers=1)
    template, worker = started(decoder)
    (worker if of == "worker" else template).kill()
    wait_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    assert works(decoder)
    decoder.close()


def at_work(before: list[psutil.Process], busy_s: float) -> tuple[psutil.Process, psutil.Process]:
    """The template and the worker that were started since `before`, once the worker is busy with an image: it
    takes less than `busy_s` until it has one.
    """
    found: list[psutil.Process] = []

    def is_busy() -> bool:
        found[:] = [process for process in processes() if process not in before]
        try:
            found[:] = [process for process in found if not is_gone(process)]
            # Programs that a template starts while it gets ready do not give way, as workers do.
            return len(found) == 2 and found[1].nice() > os.nice(0) and found[1].cpu_times().user > busy_s
        except psutil.NoSuchProcess:
            return False

    wait_for(is_busy)
    return found[0], found[1]


def kill_template(before: list[psutil.Process], busy_s: float = 0.2) -> None:
    """That which was started since `before`, while its worker is at work, and wait for both to end."""
    template, worker = at_work(before, busy_s)
    template.kill()
    wait_for(lambda: is_gone(template) and is_gone(worker))


def test_a_worker_of_an_ended_template_costs_the_next_one_nothing(make_decoder: MakeDecoder) -> None:
    """A thread may have got its reply just before both were ended, and keeps the worker after that."""
    decoder = make_decoder(workers=1)
    template, worker = started(decoder)
    kept = decoder._take()
    template.kill()
    wait_for(lambda: is_gone(worker))
    assert works(decoder)
    following = decoder._template
    decoder._keep(kept)
    assert decoder.open(encode(noise(60, 40, 1))) == ((60, 40), None)  # which no worker has open
    other = decoder._take()
    assert works(decoder)  # by one more worker of the same template
    assert decoder._template is following
    decoder._keep(other)
    decoder.close()


def test_an_image_outlives_its_template(make_decoder: MakeDecoder) -> None:
    """It is decoded by a worker of the next one, and not told to be damaged."""
    decoder = make_decoder(replace(LIMITS, least_cpu_s=1000), workers=1, parse=ODD)
    before = processes()
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(decoder.open, b"slow" + CONTENT)
        kill_template(before)
        assert slow.result(WAIT_S) == ((60, 40), None)
    decoder.close()


def test_an_image_that_loses_two_templates(make_decoder: MakeDecoder) -> None:
    """Is not tried for ever: the server has failed, and still not the image."""
    decoder = make_decoder(replace(LIMITS, least_cpu_s=2 * WAIT_S), workers=1)
    before = processes()
    with ThreadPoolExecutor(1) as threads:
        loop = threads.submit(decoder.open, b"loop")
        for _ in range(2):
            kill_template(before, busy_s=2)
        assert isinstance(loop.exception(WAIT_S), DecodingFault)
    assert works(decoder)
    decoder.close()


@pytest.mark.parametrize("error", [ProcessLost("no answer"), OSError(errno.EAGAIN, "no process is left")])
def test_a_template_that_cannot_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """Passes as well; the log says why, and clients are not told."""

    def start(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("phiserve.sandbox.decoder.TemplateProcess", start)
    with pytest.raises(ResourcesLacking) as caught:
        WorkerDecoder(LIMITS, 1).open(CONTENT)
    assert repr(error) in caplog.text
    assert str(error) not in caught.value.message


def test_a_worker_that_cannot_be_started(make_decoder: MakeDecoder, caplog: pytest.LogCaptureFixture) -> None:
    """Passes, and ends nothing else; once it is possible again, workers start again."""
    decoder = make_decoder(workers=1)
    template, worker = started(decoder)
    worker.kill()
    wait_for(lambda: is_gone(worker))
    before = template.rlimit(psutil.RLIMIT_NOFILE)
    template.rlimit(psutil.RLIMIT_NOFILE, (3, before[1]))
    with pytest.raises(ResourcesLacking) as caught:
        decoder.open(CONTENT)
    assert (caught.value.status, caught.value.retry_after_s) == (503, 2)
    assert "did not arrive" in caplog.text
    template.rlimit(psutil.RLIMIT_NOFILE, before)
    assert works(decoder)
    assert not is_gone(template)
    decoder.close()


def test_a_template_that_answers_late_is_ended(
    make_decoder: MakeDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else its answer would be taken for that to the next question."""
    monkeypatch.setattr(processes_module, "ANSWER_TIMEOUT_S", 3.0)
    decoder = make_decoder(workers=1)
    template, worker = started(decoder)
    worker.kill()
    wait_for(lambda: is_gone(worker))
    template.suspend()
    assert works(decoder)
    assert is_gone(template)
    decoder.close()


def test_a_template_that_answers_something_else_is_ended(make_decoder: MakeDecoder) -> None:
    """The next one answers what it is asked."""
    decoder = make_decoder(workers=1)
    template, worker = started(decoder)
    assert decoder._template is not None
    send(decoder._template._control, EndWorker(worker.pid))  # whose answer nobody reads
    wait_for(lambda: is_gone(worker))
    assert works(decoder)
    assert works(decoder)
    assert is_gone(template)
    decoder.close()


def test_memory_that_other_images_have_left_taken(make_decoder: MakeDecoder) -> None:
    """Costs no image anything, though its worker has no more: a new one has."""
    decoder = make_decoder(workers=1, parse=ODD)
    decoder.start()
    for _ in range(2 * (LIMITS.memory_bytes // LEAK_BYTES + 1)):
        assert decoder.open(b"leak" + CONTENT) == ((60, 40), None)
    assert message_of(decoder, b"eat") == TOO_MUCH_MEMORY
    decoder.close()


@pytest.mark.parametrize("content", GARBAGE)
def test_a_worker_that_babbles_is_lost(make_decoder: MakeDecoder, content: bytes) -> None:
    """As one that crashes: whatever took it over says nothing more."""
    decoder = make_decoder(workers=1, parse=ODD)
    template, worker = started(decoder)
    assert message_of(decoder, content) == CRASHED
    assert is_gone(worker)
    assert works(decoder)
    assert not is_gone(template)
    decoder.close()
