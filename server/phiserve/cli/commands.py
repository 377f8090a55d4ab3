"""The subcommands of `phiserve`: where each is found, and what `--help` says of it.

They are imported when they are asked for: the openai package, which many of them need, takes longer to import
than all that `phiserve --help` does.
"""

from pkgutil import resolve_name
from typing import Any

import typer
from typer.main import get_command, get_group

COMMANDS = {
    "serve": ("phiserve.cli.serve:serve", "Serve a Phi-3-vision checkpoint."),
    "ask": (
        "phiserve.cli.ask:ask",
        "Ask about images, or about anything; the answer streams to standard output.",
    ),
    "chat": ("phiserve.cli.chat:chat", "Talk with the model over several turns; /help tells the commands."),
    "decide": (
        "phiserve.cli.decide:decide",
        "Decide about images: yes or no, which, how much; each with its probabilities. All with one look.",
    ),
    "batch": (
        "phiserve.cli.batch.command:batch",
        "Answer a file of requests, or a question about many images:"
        " all that the output does not answer yet.",
    ),
    "tokens": (
        "phiserve.cli.tokens:tokens",
        "Show the prompt as the model sees it: its tokens, what each image costs,"
        " and the crops as a drawing.",
    ),
    "tokenizer": (
        "phiserve.cli.tokenizer:tokenizer",
        "Write the tokenizer as transformers loads it, for tools that count tokens by themselves.",
    ),
    "doctor": (
        "phiserve.cli.doctor:doctor",
        "Check versions, device, memory, tokenizer, plugin and one image;"
        " exits with 1 if something is wrong.",
    ),
    "top": (
        "phiserve.cli.top:top",
        "Watch a running server: owners, queue, tokens, caches, engine; Ctrl-C ends it.",
    ),
    "checkpoint": ("phiserve.cli.checkpoint:app", "Make checkpoints."),
    "decisions": ("phiserve.cli.decisions:app", "Make the probabilities of decisions true."),
    "keys": ("phiserve.cli.keys:app", "Make, list and revoke the keys of a server."),
}
"""Name -> the function or the group of functions, and the first line of its help."""


def add_commands(app: typer.Typer) -> None:
    """Let `app` list all subcommands, without what they do."""
    for name, (_, told) in COMMANDS.items():
        app.command(name, help=told)(_do_nothing)


def loaded(name: str) -> Any:  # a Command, of a class that Typer keeps to itself
    """A subcommand with all that it can do."""
    found = resolve_name(COMMANDS[name][0])
    command: Any
    if isinstance(found, typer.Typer):
        command = get_group(found)
    else:
        single = typer.Typer(add_completion=False)
        single.command(name)(found)
        command = get_command(single)
    command.name = name
    return command


def _do_nothing() -> None:
    """Stand for a subcommand until it is asked for."""
