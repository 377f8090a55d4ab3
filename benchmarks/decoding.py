"""What it costs to decode an image in a worker process instead of a thread of the server.

    python -m benchmarks.decoding

A photo of 12 megapixels as JPEG, PNG and WEBP, and a small one: opened, decoded and cut as a request does it,
by turns in a thread and in a worker. Processor time of all that take part, so that other load on the machine
counts for neither; medians. Ends in one JSON line.
"""

import io
import json
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import psutil
from PIL import Image

from phiserve import codecs
from phiserve.sandbox.decoder import WorkerDecoder
from phiserve.sandbox.limits import WorkerLimits
from phiserve.vision.decoding import Decoder, ThreadDecoder
from phiserve.vision.sizes import plan_crops

ROUNDS = 9
LARGE, SMALL = (4000, 3000), (320, 240)


def main() -> None:
    """Measure, and print a row for each file."""
    thread = ThreadDecoder(codecs.parse, codecs.FORMATS)
    worker = WorkerDecoder(WorkerLimits(), 1)
    thread.start()
    worker.start()
    print(worker.describe())
    decoding = psutil.Process().children(recursive=True)
    results = {}
    for name, size, content in files():
        spent: dict[str, list[float]] = {"thread": [], "worker": []}
        for _ in range(ROUNDS):
            spent["thread"].append(cost(reader(thread, content, size), decoding))
            spent["worker"].append(cost(reader(worker, content, size), decoding))
        ms = {where: 1000 * statistics.median(times) for where, times in spent.items()}
        results[name] = {**ms, "ratio": ms["worker"] / ms["thread"]}
        print(f"{name:20} thread {ms['thread']:8.2f} ms   worker {ms['worker']:8.2f} ms", flush=True)
    worker.close()
    print(json.dumps(results))


def files() -> Iterator[tuple[str, tuple[int, int], bytes]]:
    """Name, (width, height) and content of each file."""
    rough = np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8)
    photo = Image.fromarray(rough).resize(LARGE, Image.Resampling.BICUBIC)
    yield "JPEG, 12 megapixels", LARGE, encode(photo, "JPEG", quality=90)
    yield "PNG, 12 megapixels", LARGE, encode(photo, "PNG", compress_level=1)
    yield "WEBP, 12 megapixels", LARGE, encode(photo, "WEBP", quality=85, method=0)
    yield "JPEG, 320 x 240", SMALL, encode(photo.resize(SMALL), "JPEG", quality=90)


def encode(image: Image.Image, kind: str, **options: int) -> bytes:
    """An image as a file's content."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def reader(decoder: Decoder, content: bytes, size: tuple[int, int]) -> Callable[[], object]:
    """What a request does with a file."""
    plan = plan_crops(*size, 16)

    def read() -> object:
        _, parsed = decoder.open(content)
        return decoder.crops(content, size[0] * size[1], plan, parsed)

    return read


def cost(work: Callable[[], object], others: list[psutil.Process]) -> float:
    """Seconds of processor time that `work` takes, here and in other processes."""
    before = time.process_time() + sum(cpu_s(process.pid) for process in others)
    work()
    return time.process_time() + sum(cpu_s(process.pid) for process in others) - before


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a process has taken, by its own clock (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


if __name__ == "__main__":
    main()
