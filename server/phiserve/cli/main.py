"""The `phiserve` command: its subcommands, and how failures end it."""

import os
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup
from typer.exceptions import TyperException

from phiserve import __version__
from phiserve.cli.commands import COMMANDS, add_commands, loaded
from phiserve.cli.streams import prepare_streams, settle_stdout

# Before numpy is imported, for which no command multiplies matrices: a process with threads forks no engines.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

_console = Console(stderr=True, highlight=False, soft_wrap=True)


class _OneSentence(TyperGroup):
    """Ends every failure in one sentence on stderr and a non-zero exit; with `--debug`, in a traceback."""

    def main(self, *args: Any, **kwargs: Any) -> object:
        """Run the command from its arguments to its exit; takes what Typer's own `main` takes."""
        prepare_streams()
        return super().main(*args, **kwargs)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the subcommand, and import it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, loaded(name) if name in COMMANDS else command, rest

    def invoke(self, ctx: Any) -> object:  # a Context, of a class that Typer keeps to itself
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except (TyperException, typer.Exit, typer.Abort):
            raise  # Typer's own way to say usage and exit
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except BrokenPipeError:  # whoever read the output has seen enough
            settle_stdout()
            raise typer.Exit(1) from None
        except Exception as error:
            settle_stdout()
            if ctx.params.get("debug"):
                raise
            from phiserve.cli.failures import sentence  # with the openai package, whose failures it tells

            _console.print(f"phiserve: {sentence(error)}", style="red", markup=False)
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=_OneSentence,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="An OpenAI-compatible chat server for Phi-3-vision.",
)
add_commands(app)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback where something fails.")] = False,
) -> None:
    """Options of every subcommand."""


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)
