"""Asks about a folder of other people's pictures and PDFs from the command line, and writes down what became
of each in SCANS.md.

usage: python -m conformance.scans

The pictures are those in scikit-image's wheel (scanned pages and photographs among them), the PDFs those of
two of Debian's packages. The embedded model has learned nothing of the kind: what counts is that each file
has its row, with an answer or with the reason why there is none, and that all else goes on. Exits with 1
where a row is missing or a picture that Pillow opens has no answer. Ends in one JSON line.
"""

import csv
import gzip
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

SCIKIT_IMAGE = "scikit-image==0.26.0"
DEBIAN_PACKAGES = ("debian-faq", "developers-reference")
RESULTS = Path(__file__).with_name("SCANS.md")

_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".pdf")
_PAGES = "1-2"
_QUESTION = "What does the text say?"

_HEAD = """# Other people's scans, from the command line

Written by `python -m conformance.scans`, which asks about the pictures in {scikit_image} and the PDFs of
Debian's {debian}:

```sh
phiserve batch --images scans --ask "{question}" --pages {pages} -o scans.csv
```

The embedded model has learned nothing of the kind, so that its answers mean nothing. What counts is that each
file has its row, with an answer or with the reason why there is none.

{num_files} files, {num_answered} answered, {num_errors} with an error; exit status {status}.

| file | | bytes | outcome |
|---|---|---|---|
"""


def main() -> int:
    """Fetch, ask, write down; the exit status."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="phiserve-scans-") as work:
        folder = Path(work, "scans")
        folder.mkdir()
        _fetch_pictures(Path(work), folder)
        _fetch_documents(Path(work), folder)
        status, rows = _ask(folder, Path(work, "scans.csv"))
        files = sorted(folder.iterdir())
        wrong = [file.name for file in files if _is_wrong(file, rows.get(file.name))]
        RESULTS.write_text(_report(files, rows, status), encoding="utf-8")
    outcomes = Counter("error" if row["error"] else "answered" for row in rows.values())
    told = {"files": len(files), **outcomes, "status": status, "wrong": wrong}
    print(json.dumps({"conformance": "scans", **told, "seconds": round(time.monotonic() - began)}))
    return 1 if wrong or status not in (0, 3) else 0


def _fetch_pictures(work: Path, folder: Path) -> None:
    """The pictures of scikit-image's wheel, which is not installed."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--dest", str(work), SCIKIT_IMAGE], check=True)
    (wheel,) = work.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith("skimage/data/") and name.endswith(_SUFFIXES):
                (folder / Path(name).name).write_bytes(archive.read(name))


def _fetch_documents(work: Path, folder: Path) -> None:
    """The PDFs of Debian's packages, which are not installed."""
    subprocess.run(
        ["/usr/bin/apt-get", "download", *DEBIAN_PACKAGES], cwd=work, check=True, capture_output=True
    )
    for package in work.glob("*.deb"):
        unpacked = work / package.stem
        subprocess.run(["/usr/bin/dpkg", "-x", str(package), str(unpacked)], check=True)
        for file in unpacked.rglob("*.pdf*"):
            if file.is_file() and not file.is_symlink():
                content = file.read_bytes()
                whole = gzip.decompress(content) if file.suffix == ".gz" else content
                (folder / file.name.removesuffix(".gz")).write_bytes(whole)


def _ask(folder: Path, table: Path) -> tuple[int, dict[str, Mapping[str, str]]]:
    """The command's exit status, and the table's rows by their files' names."""
    asked = ["--images", str(folder), "--ask", _QUESTION, "--pages", _PAGES, "-o", str(table)]
    ran = subprocess.run([sys.executable, "-m", "phiserve", "batch", *asked], check=False)
    with table.open(encoding="utf-8", newline="") as opened:
        return ran.returncode, {Path(row["file"]).name: row for row in csv.DictReader(opened)}


def _is_wrong(file: Path, row: Mapping[str, str] | None) -> bool:
    """Whether there is no row, or no answer to what is to be had."""
    if row is None:
        return True
    return bool(row["error"]) and _is_open(file)


def _is_open(file: Path) -> bool:
    """Whether it is a picture of a kind that is served, and whole."""
    try:
        with Image.open(file, formats=("PNG", "JPEG", "GIF", "WEBP", "BMP")) as image:
            image.load()
    except OSError:
        return file.suffix == ".pdf"
    return True


def _report(files: list[Path], rows: Mapping[str, Mapping[str, str]], status: int) -> str:
    lines = []
    for file in files:
        row = rows.get(file.name, {"error": "no row"})
        outcome = "answered" if not row["error"] else " ".join(row["error"].split()).replace("|", "\\|")
        lines.append(f"| {file.name} | {_kind(file)} | {file.stat().st_size:,} | {outcome} |")
    num_errors = sum(bool(row["error"]) for row in rows.values())
    head = _HEAD.format(
        question=_QUESTION,
        pages=_PAGES,
        scikit_image=SCIKIT_IMAGE.replace("==", " "),
        debian=" and ".join(DEBIAN_PACKAGES),
        num_files=len(files),
        num_answered=len(rows) - num_errors,
        num_errors=num_errors,
        status=status,
    )
    return head + "\n".join(lines) + "\n"


def _kind(file: Path) -> str:
    """What it is, in a few words."""
    try:
        with Image.open(file) as image:
            return f"{image.format} {image.width}x{image.height} {image.mode}"
    except OSError:
        return file.suffix.removeprefix(".").upper()


if __name__ == "__main__":
    sys.exit(main())
