"""How far a batch has come: a bar on a terminal, and a line at the end."""

import io

from rich.console import Console

from phiserve.cli.batch.progress import Tally, progress_bar


def console(*, terminal: bool) -> Console:
    """What is printed is in its file."""
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


def test_the_bar() -> None:
    """Counts what was done before, and tells what failed."""
    shown = console(terminal=True)
    tally = Tally(total=10, before=4)
    with progress_bar(tally, shown):
        tally.count(failed=False)
        tally.count(failed=True)
    assert "6/10" in printed(shown)
    assert "1 failed" in printed(shown)
    tally.count(failed=False)
    assert (tally.done, tally.failed) == (3, 1)


def test_no_bar_elsewhere() -> None:
    """A log gets no bar."""
    shown = console(terminal=False)
    with progress_bar(Tally(total=1, before=0), shown):
        pass
    assert printed(shown) == ""


def test_the_line_at_the_end() -> None:
    """What this run did, what earlier ones had done, and what is left; only where there is some."""
    shown = console(terminal=False)
    tally = Tally(total=10, before=4)
    tally.begin()
    tally.count(failed=True)
    tally.count(failed=False)
    tally.tell("lines", shown)
    said = printed(shown)
    assert said.startswith("2 lines in 0 s, ")
    assert said.endswith(
        "a second; 1 of them failed; 4 were done before; 4 are left, with which the same command goes on"
    )
    shown = console(terminal=False)
    Tally(total=0, before=0).tell("images", shown)
    assert printed(shown) == "0 images in 0 s"
