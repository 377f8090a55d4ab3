"""`phiserve ask`, `phiserve chat` and `phiserve batch` as a person at a terminal meets them."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import psutil
import pytest

from e2e.processes import gone, wait_until
from images import encode, photo
from phiserve.checkpoint.embedded import BLANK_NAME
from snippets import ROOT

PHISERVE = [sys.executable, "-m", "phiserve"]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph as a file."""
    file = tmp_path_factory.mktemp("images") / "a cup.png"
    file.write_bytes(encode(photo("coffee")))
    return file


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PHISERVE, *arguments], capture_output=True, text=True, timeout=240)  # noqa: S603 - our own command


def started_servers(parent: psutil.Process) -> list[psutil.Process]:
    return [child for child in parent.children(recursive=True) if "--attached" in child.cmdline()]


def test_ask_a_running_server(url: str, image: Path) -> None:
    """The answer on stdout, what it cost on stderr; what the server refuses is one sentence."""
    result = run(
        "ask", "--url", f"{url}/v1", "--max-tokens", "8", "--detail", "low", str(image), "What is it?"
    )
    assert result.returncode == 0
    assert result.stdout.strip()
    assert "(313 in images), 8 written; the answer was cut off" in " ".join(result.stderr.split())
    refused = run("ask", "--url", f"{url}/v1", "https://example.com/a.png", "What is it?")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "messages[0].content[0].image_url: https URLs are not fetched by this server" in refused.stderr


def test_ask_starts_a_server_for_the_call(image: Path) -> None:
    """It loads, answers, and is gone with the call."""
    terminal = pexpect.spawn(
        PHISERVE[0],
        [*PHISERVE[1:], "ask", "--model", BLANK_NAME, "--max-tokens", "3", str(image), "Hi"],
        timeout=240,
    )
    me = psutil.Process(terminal.pid)
    terminal.expect("loading")
    processes = started_servers(me)
    terminal.expect(r"in images\), \d written")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert processes
    assert gone(processes)


def test_a_server_does_not_outlive_who_started_it() -> None:
    """Even when that is killed while the server loads."""
    command = [*PHISERVE, "ask", "--model", BLANK_NAME, "Hi"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as asking:  # noqa: S603 - our own command
        me = psutil.Process(asking.pid)
        wait_until(lambda: bool(started_servers(me)))
        processes = started_servers(me)
        asking.kill()
    wait_until(lambda: gone(processes), 60)


def test_a_server_that_cannot_start(tmp_path: Path) -> None:
    """Its own sentence is the error."""
    result = run("ask", "--model", str(tmp_path), "Hi")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "is not a Phi-3-vision checkpoint" in result.stderr


def _heed_ctrl_c() -> None:
    """A shell's background jobs ignore it, and hand that on to what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_chat(url: str, image: Path) -> None:
    """Turns add up, images go along, Ctrl-C stops an answer and nothing else, Ctrl-D leaves."""
    environment = {**os.environ, "TERM": "dumb", "COLUMNS": "200"}
    command = [*PHISERVE[1:], "chat", "--url", f"{url}/v1", "--temperature", "0"]
    terminal = pexpect.spawn(
        *(PHISERVE[0], command),
        timeout=120,
        encoding="utf-8",
        env=environment,
        dimensions=(40, 200),
        preexec_fn=_heed_ctrl_c,
    )
    terminal.expect("you> ")
    terminal.sendline(f"/image {image}")
    terminal.expect(r"you \[1 image\]> ")
    terminal.sendline("What is it?")
    terminal.expect(r"What is it\?\r\n")  # the terminal's echo
    terminal.expect(r"\w{3}")  # an answer has begun; the blank model writes up to the context's end
    terminal.sendintr()
    terminal.expect(r"\(stopped\)")
    terminal.expect("you> ")
    terminal.sendintr()
    terminal.expect("Ctrl-D to leave")
    terminal.expect("you> ")
    terminal.sendline("/history")
    terminal.expect(r"user: \[image\] What is it\?")
    terminal.expect("assistant: ")
    terminal.expect("you> ")
    terminal.sendline("/image /no/such.png")
    terminal.expect("cannot be read")
    terminal.expect("you> ")
    terminal.sendline("/reset")
    terminal.expect(r"/reset\r\n")  # the echo: only the prompt after it reads the end of input
    terminal.expect("you> ")
    terminal.sendeof()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def rows(file: Path) -> dict[str, list[str]]:
    """The whole rows of a table, by the names of their files."""
    if not file.exists():
        return {}
    whole = file.read_bytes().rpartition(b"\n")[0].decode()
    return {row[0]: row[1:] for row in csv.reader(whole.splitlines())}


def test_batch_of_images(demo_url: str, tmp_path: Path) -> None:
    """With an engine of its own; killed in the middle, a server goes on with it, as if nothing had been.

    A damaged image has a row, and the exit status says so.
    """
    folder, table = tmp_path / "images", tmp_path / "shapes.csv"
    folder.mkdir()
    content = (ROOT / "docs" / "images" / "shapes.png").read_bytes()
    for number in range(30):
        (folder / f"{number:02}.png").write_bytes(content)
    (folder / "15.png").write_bytes(content[:1000])
    command = ["batch", "--images", str(folder), "--ask", "How many shapes are there?", "-o", str(table)]
    limits = ["--max-tokens", "20", "--at-once", "1"]
    with subprocess.Popen([*PHISERVE, *command, *limits], stderr=subprocess.DEVNULL) as asking:  # noqa: S603 - our own command
        processes = [psutil.Process(asking.pid)]
        wait_until(lambda: len(rows(table)) > 3, 240)
        processes += processes[0].children(recursive=True)
        asking.kill()
    wait_until(lambda: gone(processes), 60)
    before = rows(table)
    assert 3 < len(before) < 32  # a header, and not all of the images
    ended = run(*command, *limits, "--url", f"{demo_url}/v1")
    assert ended.returncode == 3, ended.stderr
    assert f"; {len(before) - 1} were done before" in " ".join(ended.stderr.split())
    after = rows(table)
    assert list(after) == ["file", *(str(folder / f"{number:02}.png") for number in range(30))]
    assert {name: after[name] for name in before} == before
    damaged = after.pop(str(folder / "15.png"))
    assert damaged[0] == ""
    assert "damaged" in damaged[1] or "cannot" in damaged[1]
    assert {row[1] for row in after.values()} == {"", "error"}
    assert all(row[0] for row in after.values())
