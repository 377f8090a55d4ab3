"""Odd, damaged and hostile pictures, among them Pillow's own: a right answer or a 400, soon, and a healthy server after."""

import asyncio
import io
import os
import re
import subprocess
import sys
import tarfile
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import PIL
import psutil
import pytest
from PIL import Image, ImageOps

from e2e.conftest import MODEL
from e2e.running import ServerProcess
from hostile import bmp, flat_jpeg, gif, jpeg_segment, png, png_chunk, progressive_jpeg, webp
from phiserve.errors import InvalidImage
from phiserve.vision.decode import decode_rgb, read_header
from phiserve.vision.formats import EXTRA_FORMATS, FORMATS
from pictures import encode, image_part, noise, photo

IN_FLIGHT = 2
LONGEST_S = 5.0
LARGEST = 20 * 2**20
PARAM = "messages[0].content[0].image_url"
OUR_WORDS = [
    r"the picture is damaged or incomplete",
    r"the picture is not in a supported format \(JPEG, PNG, WEBP, GIF, BMP\)",
    r"the picture is in (AVIF|HEIC), which is switched off on this server; it serves JPEG, PNG, WEBP, GIF, BMP",
    r"the picture is of a rare kind of JPEG \(lossless, hierarchical, not of 8 bits or unusually sampled\) that is not supported",
    r"the picture is a run-length encoded BMP beyond \d+ bytes and \d+ pixels",
    r"the picture has more than \d+ (PNG chunks|JPEG segments|JPEG scans|GIF blocks before it begins)",
    r"the picture has no pixels",
    r"the picture has \d+ x \d+ pixels; the limit is 64000000 \(max_image_pixels\)",
    r"the picture is empty",
    r"the picture's file is too large; the limit is 20971520 bytes \(max_image_bytes\)",
    r"\d+ x \d+ is too thin; the limit is 336 to 1 \(max_image_aspect_ratio\)",
]
SHOWN_WRONG_BY_PILLOW = {"hopper_bad_exif.jpg"}
"""Its restart intervals are damaged; Pillow shows stripes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one picture."""

    name: str
    status: int
    message: str
    code: str
    seconds: float


@pytest.fixture(scope="module")
def collection(pytestconfig: pytest.Config) -> Path:
    """All that Pillow's source distribution holds for its tests, downloaded once and kept in pytest's cache."""
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir(f"pillow-{PIL.__version__}")
    if not (folder / "Tests").is_dir():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(folder)]
        download = subprocess.run([*command, f"pillow=={PIL.__version__}"], capture_output=True, text=True, check=False)  # noqa: S603 - our own command
        if download.returncode:
            reason = "Pillow's source distribution cannot be had: " + download.stderr.strip().splitlines()[-1]
            pytest.fail(reason) if "GOLDEN_VECTORS_REQUIRED" in os.environ else pytest.skip(reason)
        unpack(next(folder.glob("*.tar.gz")), folder)
    return folder / "Tests"


def unpack(archive: Path, folder: Path) -> None:
    """Everything below Tests/, which appears at once or not at all."""
    with tarfile.open(archive) as source:
        top = source.getnames()[0].split("/")[0]
        members = [member for member in source if member.name.startswith(f"{top}/Tests/")]
        source.extractall(folder, members, filter="data")
    (folder / top / "Tests").rename(folder / "Tests")
    archive.unlink()


def files_of(collection: Path) -> list[Path]:
    return sorted(path for path in collection.rglob("*") if path.is_file())


def all_answered(url: str, pictures: list[tuple[str, bytes]]) -> list[Outcome]:
    """Ask about every picture, a few at a time."""

    async def run() -> list[Outcome]:
        slots = asyncio.Semaphore(IN_FLIGHT)
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:

            async def ask(name: str, content: bytes) -> Outcome:
                async with slots:
                    return await answered(client, name, content)

            return await asyncio.gather(*(ask(*picture) for picture in pictures))

    return asyncio.run(run())


async def answered(client: httpx.AsyncClient, name: str, content: bytes) -> Outcome:
    body = {"model": MODEL, "max_tokens": 1, "messages": [{"role": "user", "content": [image_part(content, "low")]}]}
    began = time.perf_counter()
    response = await client.post("/v1/chat/completions", json=body)
    seconds = time.perf_counter() - began
    error = response.json().get("error", {})
    return Outcome(name, response.status_code, error.get("message", ""), error.get("code", ""), seconds)


def check(url: str, outcomes: list[Outcome]) -> None:
    """Each a 200 or a 400 in our own words, and the server as well as before."""
    assert {outcome.status for outcome in outcomes} <= {200, 400}
    words = re.compile(re.escape(PARAM) + r"(\.url)?: (" + "|".join(OUR_WORDS) + ")")
    assert [outcome for outcome in outcomes if outcome.status == 400 and not words.fullmatch(outcome.message)] == []
    assert httpx.get(f"{url}/ready").status_code == 200
    (normal,) = all_answered(url, [("normal", encode(photo("coffee"), "JPEG"))])
    assert normal.status == 200


def test_pillows_collection(url: str, collection: Path) -> None:
    """More than a thousand files, pictures of all formats and others: served formats mostly answered, everything else refused."""
    pictures = [(path.name, path.read_bytes()) for path in files_of(collection)]
    outcomes = all_answered(url, pictures)
    check(url, outcomes)
    slow = [picture for picture, outcome in zip(pictures, outcomes, strict=True) if outcome.seconds > LONGEST_S]
    alone = [outcome for picture in slow for outcome in all_answered(url, [picture])]  # others may have been in the way
    assert [outcome for outcome in alone if outcome.seconds > LONGEST_S] == []
    assert len(outcomes) > 1000
    assert sum(outcome.status == 200 for outcome in outcomes) > 500


def test_right_pictures(collection: Path) -> None:
    """Every picture of the collection equals what Pillow makes of it, upright and on white, where Pillow's plain way is right.

    Deliberately different: 16-bit grey (Pillow clips) and CMYK with a profile (Pillow does arithmetic).
    """
    compared = 0
    for path in files_of(collection):
        expected = by_pillow(path.read_bytes())
        if expected is None or path.name in SHOWN_WRONG_BY_PILLOW:
            continue
        content = path.read_bytes()
        shown = decode_rgb(content, read_header(content, path.name, (*FORMATS, *EXTRA_FORMATS)), path.name)
        assert np.array_equal(np.asarray(shown), np.asarray(expected)), path.name
        compared += 1
    assert compared > 500


def by_pillow(content: bytes) -> Image.Image | None:
    """A picture in Pillow's plain way, or none where it has none, or no right one."""
    try:
        with Image.open(io.BytesIO(content), formats=(*FORMATS, "AVIF")) as image:
            if image.width * image.height > 10**7 or image.mode.startswith("I;16"):
                return None
            image.load()
            upright = ImageOps.exif_transpose(image)
            if image.mode == "CMYK" and "icc_profile" in image.info:
                return None
            if not image.has_transparency_data:
                return upright.convert("RGB")
            clear = upright.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    except (OSError, SyntaxError, ValueError):
        return None


def test_pictures_that_pillow_shows_wrong_are_refused(collection: Path) -> None:
    """Those left out above."""
    for name in SHOWN_WRONG_BY_PILLOW:
        content = (collection / "images" / name).read_bytes()
        assert by_pillow(content) is not None
        with pytest.raises(InvalidImage):
            decode_rgb(content, read_header(content, name), name)


def inflating_png() -> bytes:
    """As many pixels as are allowed, at 16 bits and with alpha: 512 MB in half a megabyte."""
    return png((8000, 8000), 16, 6, bytes(8000 * (1 + 8000 * 8)))


def hostile_pictures() -> list[tuple[str, bytes]]:
    """Small files that claim to be large, expand, or keep a parser busy."""
    small_webp, small_jpeg = encode(noise(8, 8), "WEBP"), encode(noise(8, 8), "JPEG")
    dot = b"\0\1\2\3"
    return [
        ("png header", png((60000, 60000), 8, 2, b"")),
        ("png inflating", inflating_png()),
        ("png profile", png((1, 1), 8, 2, dot, [png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(10**8)))])),
        ("png chunks", png((1, 1), 8, 2, dot, [png_chunk(b"prIv") * (LARGEST // 13)])),
        ("png chunks behind", png((1, 1), 8, 2, dot, after=png_chunk(b"prIv") * (LARGEST // 13))),
        ("png texts", png((1, 1), 8, 2, dot, [b"".join(png_chunk(b"tEXt", b"%d\0v" % n) for n in range(90_000))])),
        ("png empty data", png((1, 1), 8, 2, dot, [png_chunk(b"IDAT") * 90_000])),
        ("jpeg header", flat_jpeg((8, 8), [(1, 1)]).replace(b"\0\x08\0\x08", b"\xff\xdc\xff\xdc")),
        ("jpeg scans allowed", progressive_jpeg((8000, 8000), 63)),
        ("jpeg scans valid", progressive_jpeg((8000, 8000), 63, progression=0)),
        ("jpeg scans", progressive_jpeg((8000, 8000), 2000)),
        (
            "jpeg arithmetic",
            flat_jpeg((8000, 8000), [(1, 1)] * 3, frame=0xC9, scan=noise(60, 60).tobytes().replace(b"\xff", b"")),
        ),
        ("jpeg segments", small_jpeg[:2] + jpeg_segment(0xE1) * (LARGEST // 5) + small_jpeg[2:]),
        ("jpeg padding", small_jpeg[:2] + b"\xff" * (LARGEST - 2000) + small_jpeg[2:]),
        ("jpeg zeros", small_jpeg[:2] + jpeg_segment(0xE0) + bytes(LARGEST - 2000) + small_jpeg[2:]),
        ("jpeg escapes", small_jpeg[:-2] + b"\xff\0" * (LARGEST // 2 - 2000) + small_jpeg[-2:]),
        ("gif screen", gif((65535, 65535), (1, 1))),
        ("gif frame", gif((8, 8), (65535, 65535), b"!\xf9\x04\x08\0\0\0\0")),
        ("gif frames", gif((8000, 8000), (1, 1), frames=10_000)),
        ("gif comments", gif((1, 1), (1, 1), b"!\xfe\x01x\0" * (LARGEST // 6))),
        ("webp canvas", webp((65535, 65535), small_webp)),
        ("webp frames", webp((8000, 8000), small_webp, frames=100_000)),
        ("bmp upwards", bmp((8, -(2**31)), b"")),
        ("bmp size", bmp((2**31 - 1, 2**31 - 1), b"")),
        ("bmp runs", bmp((8000, 8000), b"\1\5" * (LARGEST // 2 - 2000), 1)),
        ("bmp runs allowed", bmp((2000, 2000), b"\1\5" * 500_000, 1)),
        ("bmp row ends", bmp((2000, 2000), b"\1\5\0\0" * 2000, 1)),
        ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"),
        ("pdf", b"%PDF-1.7\n%%EOF"),
        ("eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) run"),
        ("tiff", encode(noise(8, 8), "TIFF")),
        ("ico", encode(noise(16, 16), "ICO")),
        ("noise", noise(400, 400).tobytes()),
    ]


def test_hostile_pictures(server: ServerProcess) -> None:
    """Bombs and floods: refused, or answered as the small pictures that they are; none takes the server long.

    Counted is the processor time of the process that reads pictures, one after the other: a busy machine does not stretch it.
    """
    process = psutil.Process(server.process.pid)
    outcomes, spent = [], {}
    for name, content in hostile_pictures():
        before = sum(process.cpu_times()[:2])
        outcomes += all_answered(server.url, [(name, content)])
        spent[name] = sum(process.cpu_times()[:2]) - before
    check(server.url, outcomes)
    assert {name: seconds for name, seconds in spent.items() if seconds > LONGEST_S} == {}
    assert {outcome.name for outcome in outcomes if outcome.status == 200} >= {
        "png inflating",
        "png profile",
        "gif frames",
        "webp frames",
    }
