"""Images decode in workers as they do in threads, and what a file does to its worker stays with that file."""

import asyncio
import gc
import logging
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import psutil
import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from hostile_codecs import FORBIDDEN
from images import data_url, encode, noise
from phiserve import codecs
from phiserve.core import ImagePlaceholder
from phiserve.errors import InvalidImage, ShuttingDown, StartupError
from phiserve.sandbox.confinement import has_filters
from phiserve.sandbox.decoder import WorkerDecoder
from phiserve.sandbox.limits import MIB
from phiserve.sandbox.tasks import CRASHED, TOO_SLOW
from phiserve.sandbox.worker import TOO_MUCH_MEMORY
from phiserve.vision.crops import cut_crops
from phiserve.vision.decoding import DecodingFault
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits
from phiserve.vision.sizes import plan_crops
from unit.sandbox.conftest import LIMITS, MakeDecoder
from unit.sandbox.decoding import CONTENT, WAIT_S, is_gone, message_of, processes, started, wait_for, works

DEATHS = 20
HARMFUL = [(b"segfault", CRASHED), (b"abort", CRASHED), (b"loop", TOO_SLOW), (b"eat", TOO_MUCH_MEMORY)]


def turned() -> Image.Exif:
    """An image that lies on its side."""
    exif = Image.Exif()
    exif[0x112] = 6
    return exif


def files() -> dict[str, bytes]:
    """A file of each format, and some in which more has to be done."""
    register_heif_opener()
    image = noise(90, 60).resize((450, 300))
    grey = Image.fromarray(np.asarray(image)[..., 0].astype(np.uint16) * 257)
    usual = {kind: encode(image, kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF", "HEIF")}
    return usual | {
        "turned JPEG": encode(image, "JPEG", exif=turned()),
        "progressive JPEG": encode(image, "JPEG", progressive=True),
        "JPEG of inks": encode(image.convert("CMYK"), "JPEG"),
        "grey JPEG": encode(image.convert("L"), "JPEG"),
        "JPEG with bytes before its end": encode(image, "JPEG")[:-2] + b"\x12\x34\x56\x78\xff\xd9",
        "transparent PNG": encode(image.convert("RGBA"), "PNG"),
        "16-bit PNG": encode(grey, "PNG"),
        "PNG with a palette": encode(image.convert("P"), "PNG"),
        "upright PNG": encode(image.transpose(Image.Transpose.ROTATE_90), "PNG"),
    }


def test_crops_equal_those_of_a_thread(decoder: WorkerDecoder) -> None:
    """Every pixel of every format, opened before or not, landscape and portrait."""
    for name, content in files().items():
        image = codecs.parse(content, LIMITS.formats)
        plan = plan_crops(*image.size, 16)
        expected = cut_crops(image.decode(), plan)
        assert np.array_equal(decoder.crops(content, 0, plan, None), expected), name
        assert decoder.open(content) == (image.size, None)
        assert np.array_equal(decoder.crops(content, 0, plan, None), expected), name


def test_an_open_file_is_not_taken_for_another(make_decoder: MakeDecoder) -> None:
    """Each worker knows which file it has open, and that it is a file's own bytes."""
    decoder = make_decoder(workers=1)
    first, second = encode(noise(60, 40, 1)), encode(noise(60, 40, 2))
    plan = plan_crops(60, 40, 1)
    decoder.open(first)
    decoder.open(second)
    a, b = decoder.crops(first, 0, plan, None), decoder.crops(second, 0, plan, None)
    assert not np.array_equal(a, b)
    assert np.array_equal(b, decoder.crops(bytes(bytearray(second)), 0, plan, None))


def test_damage_is_told_as_in_a_thread(decoder: WorkerDecoder) -> None:
    """In the same words and with the same code; the worker goes on."""
    before = processes()
    assert message_of(decoder, CONTENT[:40]) == "the image is damaged or incomplete"
    assert "not in a supported format" in message_of(decoder, b"what")
    assert works(decoder)
    assert set(processes()) <= set(before)


def test_a_fault_of_ours_is_none_of_the_images(decoder: WorkerDecoder) -> None:
    """It is told with the name of its class and where it was raised."""
    with pytest.raises(DecodingFault) as caught:
        decoder.open(b"fail")
    assert caught.value.name == "LookupError"
    assert "in fail" in caught.value.trace


@pytest.mark.parametrize(("content", "reason"), HARMFUL)
def test_harm_costs_its_own_image(
    decoder: WorkerDecoder, content: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is refused in plain words; what is decoded beside it, and what comes after it, is not."""
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(2) as threads:
        harm = threads.submit(message_of, decoder, content)
        while not harm.done():
            assert works(decoder)
        assert harm.result() == reason
    assert works(decoder)
    if reason != TOO_MUCH_MEMORY:
        assert "the image with BLAKE3" in caplog.text


def test_what_stands_still_is_given_up(make_decoder: MakeDecoder) -> None:
    """Though it takes no processor time."""
    decoder = make_decoder(replace(LIMITS, patience=1), workers=1)
    assert message_of(decoder, b"sleep") == TOO_SLOW
    decoder.close()


def test_many_deaths_leave_nothing(decoder: WorkerDecoder) -> None:
    """No descriptor, thread or process more than before, and no worker that nobody waits for."""
    decoder.start()
    me = psutil.Process()
    gc.collect()
    before = me.num_fds(), threading.active_count(), len(processes())
    for _ in range(DEATHS):
        assert message_of(decoder, b"segfault") == CRASHED
    assert works(decoder)
    decoder.start()
    gc.collect()
    assert (me.num_fds(), threading.active_count(), len(processes())) == before
    assert [child.status() for child in processes() if child.status() == psutil.STATUS_ZOMBIE] == []


@pytest.mark.skipif(not has_filters(), reason="the kernel has no seccomp filters")
@pytest.mark.parametrize("content", FORBIDDEN)
def test_workers_are_closed_off(decoder: WorkerDecoder, content: bytes) -> None:
    """From files, network, programs and other processes."""
    assert decoder.is_closed_off
    assert message_of(decoder, content) == "EPERM"
    assert works(decoder)


def test_workers_see_no_keys(make_decoder: MakeDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's environment may hold some."""
    monkeypatch.setenv("PHISERVE_API_KEY", "secret")
    monkeypatch.setenv("HF_TOKEN", "secret")
    decoder = make_decoder(workers=1)
    names = message_of(decoder, b"environment").split()
    decoder.close()
    assert "PATH" in names
    assert {"PHISERVE_API_KEY", "HF_TOKEN"} & {*names} == set()


def test_workers_give_way(make_decoder: MakeDecoder) -> None:
    """To the event loop and the engine."""
    decoder = make_decoder()
    template, *workers = started(decoder)
    assert template.nice() == os.nice(0)
    assert [worker.nice() - os.nice(0) for worker in workers] == [10, 10]
    decoder.close()


def test_children_can_be_waited_for(make_decoder: MakeDecoder) -> None:
    """Also if the server was started where nobody does, which programs that it starts inherit."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        decoder = make_decoder(workers=1)
        template, _ = started(decoder)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert message_of(decoder, b"segfault") == CRASHED
    assert works(decoder)
    assert not is_gone(template)
    decoder.close()


def test_signals_to_all_processes_are_the_servers(make_decoder: MakeDecoder) -> None:
    """As a terminal's Ctrl-C, or a service manager: what runs is finished."""
    decoder = make_decoder()
    own = started(decoder)
    for process in own:
        process.send_signal(signal.SIGINT)
        process.terminate()
    assert works(decoder)
    assert not any(map(is_gone, own))
    decoder.close()


def test_closing_ends_what_runs(make_decoder: MakeDecoder) -> None:
    """However long it would still take; who waits is told that the server ends, and so is who comes later."""
    decoder = make_decoder(replace(LIMITS, least_cpu_s=1000), workers=1)
    template, worker = started(decoder)
    with ThreadPoolExecutor(1) as threads:
        loop = threads.submit(decoder.open, b"loop")
        wait_for(lambda: worker.cpu_times().user > 0.2)
        decoder.close()
        assert isinstance(loop.exception(WAIT_S), ShuttingDown)
    assert (template.is_running(), worker.is_running()) == (False, False)
    with pytest.raises(ShuttingDown):
        decoder.open(CONTENT)


def test_the_server_says_what_holds(decoder: WorkerDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """And does not start where it must be closed off and is not."""
    most = f"images decoded in 2 processes, {-(-LIMITS.memory_bytes // MIB)} MiB an image at most"
    assert decoder.describe().startswith(most)
    assert ("closed off" in decoder.describe()) == has_filters()
    monkeypatch.setattr(WorkerDecoder, "is_closed_off", False)
    assert "with limits alone" in decoder.describe()
    demanding = WorkerDecoder(LIMITS, 1, must_be_closed_off=True)
    with pytest.raises(StartupError, match="image_sandbox is required"):
        demanding.start()
    demanding.close()


def test_a_start_that_fails(make_decoder: MakeDecoder) -> None:
    """Is told with the setting that needs no workers, and leaves nothing."""
    before = processes()
    with pytest.raises(StartupError, match="set image_sandbox to off"):
        make_decoder(parse="no_such_module:parse").start()
    assert set(processes()) <= set(before)


def test_the_request_is_told_which_image(make_decoder: MakeDecoder) -> None:
    """A 400 at the image's place, whether opening or decoding did harm; the others are read."""
    service = ImageService(ImageLimits(formats=LIMITS.formats), 2, decoder=make_decoder(workers=1))
    good, bad = (
        ImagePlaceholder(data_url(content), "auto", content[:3].hex()) for content in (CONTENT, b"abort")
    )

    async def run() -> None:
        await service.compile_ahead()
        with pytest.raises(InvalidImage) as caught:
            await service.read([good, bad])
        assert (caught.value.status, caught.value.param) == (400, bad.param)
        (image,) = await service.read([good])
        assert image.size == (60, 40)
        assert (await service.crops(image, plan_crops(60, 40, 1))).shape == (1, 336, 336, 3)
        damaged = replace(image, content=b"segfault")
        with pytest.raises(InvalidImage, match=CRASHED) as caught:
            await service.crops(damaged, plan_crops(60, 40, 4))
        assert caught.value.param == good.param

    asyncio.run(run())
    service.close()
