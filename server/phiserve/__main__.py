"""`python -m phiserve` is `phiserve`."""

from phiserve.cli.main import app

app(prog_name="phiserve")
