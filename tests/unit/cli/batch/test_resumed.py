"""A file of whole records: one writer, nothing half-written, its content replaced in one step."""

import errno
import os
from pathlib import Path

import pytest

from phiserve.cli.batch.resumed import ResumedFile
from phiserve.errors import StartupError


def test_records_are_appended(tmp_path: Path) -> None:
    """Behind what is there; what is cut off is gone."""
    (tmp_path / "out").write_bytes(b"one\ntw")
    with ResumedFile(tmp_path / "out") as file:
        file.cut(4)
        file.append(b"two\n")
        assert file.size == 8
        with file.reader() as reader:
            assert reader.read() == b"one\ntwo\n"


def test_one_writer(tmp_path: Path) -> None:
    """A second one is refused while the first has the file, and not afterwards."""
    with ResumedFile(tmp_path / "out"), pytest.raises(StartupError, match="Another run is writing to"):
        ResumedFile(tmp_path / "out")
    ResumedFile(tmp_path / "out").close()


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that does not fit leaves nothing of itself."""
    with ResumedFile(tmp_path / "out") as file:
        file.append(b"whole\n")
        write = os.write

        def write_some(descriptor: int, data: memoryview) -> int:
            """Take three bytes, then no more."""
            monkeypatch.setattr(os, "write", refuse)
            return write(descriptor, data[:3])

        def refuse(descriptor: int, data: memoryview) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", write_some)
        with pytest.raises(StartupError, match="out cannot be written: no space left on device"):
            file.append(b"second\n")
    assert (tmp_path / "out").read_bytes() == b"whole\n"


def test_replacing(tmp_path: Path) -> None:
    """The content is another, the permissions are the same, a link stays a link, and nothing else is left."""
    (tmp_path / "out").write_bytes(b"b\na\n")
    (tmp_path / "out").chmod(0o640)
    (tmp_path / "link").symlink_to("out")
    with ResumedFile(tmp_path / "link") as file:
        file.replace(iter([b"a\n", b"b\n"]))
    assert (tmp_path / "out").read_bytes() == b"a\nb\n"
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "link").is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"out", "link"}


def test_a_failed_replacement(tmp_path: Path) -> None:
    """Leaves what was there."""
    (tmp_path / "out").write_bytes(b"a\n")

    def records() -> object:
        yield b"b\n"
        raise OSError(errno.EIO, "Input/output error")

    with ResumedFile(tmp_path / "out") as file, pytest.raises(StartupError, match="input/output error"):
        file.replace(records())  # type: ignore[arg-type]
    assert (tmp_path / "out").read_bytes() == b"a\n"


def test_what_is_no_file(tmp_path: Path) -> None:
    """Folders and pipes are refused, without waiting for a reader; so is a folder that is not there."""
    os.mkfifo(tmp_path / "pipe")
    for name in (".", "pipe"):
        with pytest.raises(StartupError, match="is not a file that a later run could go on with"):
            ResumedFile(tmp_path / name)
    with pytest.raises(StartupError, match="cannot be written: no such file or directory"):
        ResumedFile(tmp_path / "none" / "out")


def test_a_file_that_was_replaced_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening and locking: the one that has the name now is taken."""
    (tmp_path / "out").write_bytes(b"old\n")
    opened = os.open

    def open_late(path: Path, *rest: int) -> int:
        """Open, and have another run put its finished file in place."""
        descriptor = opened(path, *rest)
        monkeypatch.setattr(os, "open", opened)
        (tmp_path / "new").write_bytes(b"new\n")
        (tmp_path / "new").replace(tmp_path / "out")
        return descriptor

    monkeypatch.setattr(os, "open", open_late)
    with ResumedFile(tmp_path / "out") as file:
        file.append(b"more\n")
    assert (tmp_path / "out").read_bytes() == b"new\nmore\n"
