"""file:// reads regular files below one folder and tells nothing of the rest."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from phiserve.errors import DownloadFailed, ForbiddenUrl, InvalidImage
from phiserve.media.folder import MediaFolder

CONTENT = b"image"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with images, beside a secret."""
    root = tmp_path / "images"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "a ü.png").write_bytes(CONTENT)
    (root / "empty.png").touch()
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "images-too").mkdir()
    (tmp_path / "images-too" / "a.png").write_bytes(b"secret")
    (root / "inside").symlink_to(root / "sub" / "a ü.png")
    (root / "outside").symlink_to(tmp_path / "secret")
    (root / "up").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    (root / "device").symlink_to("/dev/zero")
    os.mkfifo(root / "pipe")
    return root


@pytest.mark.parametrize("name", ["sub/a%20%C3%BC.png", "sub/a ü.png", "inside", "sub/../inside", "./inside"])
@pytest.mark.parametrize("start", ["file://", "file://localhost", "FILE://"])
def test_read(root: Path, start: str, name: str) -> None:
    """Files below the folder, also by links that stay inside."""
    assert MediaFolder(root, 60).read(f"{start}{root}/{name}", 100) == CONTENT


@pytest.mark.parametrize(
    "name",
    [
        "missing",
        "sub",
        "",
        "outside",
        "up/secret",
        "../secret",
        "%2e%2e/secret",
        "..%2fsecret",
        "../images-too/a.png",
        "loop",
        "device",
        "pipe",
        "inside?x",
        "inside%00",
        "sub/" + "a" * 5000,
    ],
)
def test_everything_else_is_alike(root: Path, name: str) -> None:
    """Missing, outside, folders, devices, pipes: one message, at once, without a path."""
    with pytest.raises(ForbiddenUrl) as caught:
        MediaFolder(root, 60).read(f"file://{root}/{name}", 100)
    assert caught.value.message == "there is no such file in the folder that this server reads images from"


@pytest.mark.parametrize(
    "url", ["file://host/x", "file:x", "file:", "file:///etc/passwd", "file:///dev/stdin"]
)
def test_other_urls(root: Path, url: str) -> None:
    """Other hosts, relative paths, files elsewhere."""
    with pytest.raises(ForbiddenUrl):
        MediaFolder(root, 60).read(url, 100)


def test_a_link_that_changes_after_the_first_look(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been opened is looked at again: a link set in between leads nowhere."""
    real_open = os.open

    def swap_then_open(path: Path, flags: int) -> int:
        path.unlink()
        path.symlink_to(root.parent / "secret")
        return real_open(path, flags)

    (root / "victim").write_bytes(CONTENT)
    monkeypatch.setattr(os, "open", swap_then_open)
    with pytest.raises(ForbiddenUrl):
        MediaFolder(root, 60).read(f"file://{root}/victim", 100)


def test_sizes(root: Path) -> None:
    """As many bytes as the limit are fine, one more is not, none is not an image."""
    folder = MediaFolder(root, 60)
    assert folder.read(f"file://{root}/inside", len(CONTENT)) == CONTENT
    with pytest.raises(InvalidImage, match="max_image_bytes"):
        folder.read(f"file://{root}/inside", len(CONTENT) - 1)
    with pytest.raises(InvalidImage, match="empty"):
        folder.read(f"file://{root}/empty.png", 100)


def test_a_disk_that_does_not_answer(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits is told in time, and nobody else waits: the loop's default pool is free, however many reads
    hang.
    """
    answers = threading.Event()
    monkeypatch.setattr(MediaFolder, "read", lambda *_: answers.wait(60))
    monkeypatch.setattr("phiserve.media.folder.MAX_READS", 2)

    async def run() -> None:
        folder = MediaFolder(root, 0.05)
        reads = (folder.fetch(f"file://{root}/inside", 100) for _ in range(100))
        results = await asyncio.gather(*reads, return_exceptions=True)
        assert {type(result) for result in results} == {DownloadFailed}
        assert str(results[1]) == "the image was not read within 0.05 s"
        reading = [thread for thread in threading.enumerate() if thread.name == "phiserve-read"]
        assert (len(reading), all(thread.daemon for thread in reading)) == (2, True)
        assert await asyncio.to_thread(lambda: "done") == "done"
        answers.set()

    try:
        asyncio.run(run())
    finally:
        answers.set()


def test_a_disk_that_fails(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that can be opened and not read is the image's failure, without a path."""

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error", "/secret/path")

    monkeypatch.setattr(MediaFolder, "read", fail)
    with pytest.raises(DownloadFailed, match=r"^the image could not be read$"):
        asyncio.run(MediaFolder(root, 60).fetch(f"file://{root}/inside", 100))
