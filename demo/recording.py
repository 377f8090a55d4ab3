"""The picture of a terminal in README.md: `python -m demo.recording` runs its first commands and draws what
they print.
"""

import shlex
import subprocess
import sys
from pathlib import Path

import typer
from rich.console import Console

from demo.examples import FOLDER
from phiserve.checkpoint.embedded import DEMO_NAME

ROOT = Path(__file__).parents[1]
COMMANDS = (
    'phiserve ask docs/images/cover.png "Help me get the title and author information of this book?"',
    'phiserve ask docs/images/chart.png "Which bar is the highest?"',
    "phiserve ask docs/images/chart.png docs/images/shapes.png"
    ' "What is the difference between these two images?"',
)


def main() -> None:
    """Run the commands, each with a server of its own, whatever listens on port 8000, and write
    docs/images/ask.svg.
    """
    console = Console(record=True, width=112)
    for command in COMMANDS:
        words = [
            str(Path(sys.executable).with_name("phiserve")),
            *shlex.split(command)[1:],
            "--model",
            DEMO_NAME,
        ]
        done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - our own commands
        console.print(f"[bold green]$[/] {command}", highlight=False)
        console.print(done.stdout.strip(), highlight=False, markup=False)
    console.save_svg(str(FOLDER / "ask.svg"), title="phiserve ask")


if __name__ == "__main__":
    typer.run(main)
