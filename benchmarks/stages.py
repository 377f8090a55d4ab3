"""What a picture costs before it reaches the engine, stage by stage, on one thread: no engine, no network.

usage: python benchmarks/stages.py [--repeat N]

Prints a table of medians in milliseconds and ends in one JSON line. Absolute times are this machine's; compare runs side by side.
"""

import argparse
import base64
import io
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from blake3 import blake3
from PIL import Image, ImageFilter

from phiserve.protocol.parsing import parse_chat_request
from phiserve.vision.data_url import decode_data_url
from phiserve.vision.decode import decode_rgb, read_header
from phiserve.vision.pixels import cut_crops
from phiserve.vision.sizes import plan_crops

SIZES = {"640x480": (640, 480), "1 MP": (1152, 864), "12 MP": (4000, 3000)}


def jpeg(width: int, height: int) -> bytes:
    """A photograph-like JPEG: blurred noise, quality 90."""
    noise = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    picture = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2)).resize((width, height))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def median_ms(work: Callable[[], Any], repeat: int) -> float:
    """Median of `repeat` runs."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def stages(content: bytes) -> dict[str, Callable[[], Any]]:
    """Each stage on the output of the one before."""
    url = "data:image/jpeg;base64," + base64.b64encode(content).decode()
    message = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
    body = json.dumps({"model": "m", "messages": [message]}).encode()
    header = read_header(content, "image")
    plan = plan_crops(*header.size, 16)
    picture = decode_rgb(content, header, "image")
    return {
        "parse": lambda: parse_chat_request(body),
        "base64": lambda: decode_data_url(url, max_bytes=2**30, param="image"),
        "hash": lambda: blake3(content).hexdigest(),
        "header": lambda: read_header(content, "image"),
        "decode": lambda: decode_rgb(content, header, "image"),
        "crops": lambda: cut_crops(picture, plan),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=15)
    repeat = parser.parse_args().repeat
    results: dict[str, dict[str, float]] = {}
    for name, size in SIZES.items():
        results[name] = {stage: median_ms(work, repeat) for stage, work in stages(jpeg(*size)).items()}
    print(f"{'ms':>10}" + "".join(f"{name:>10}" for name in SIZES))
    for stage in next(iter(results.values())):
        print(f"{stage:>10}" + "".join(f"{results[name][stage]:10.2f}" for name in SIZES))
    print(f"{'sum':>10}" + "".join(f"{sum(results[name].values()):10.2f}" for name in SIZES))
    print(json.dumps({"benchmark": "stages", "unit": "ms", "repeat": repeat, "medians": results}))


if __name__ == "__main__":
    main()
